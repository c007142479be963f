"""As much of a cluster's API as the modules ask of nodes and namespaces, with one request that meets a fault."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.faults.server import Server

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-1", "resourceVersion": "7", "uid": "u1", "labels": {}}, "spec": {}}
NODE["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
VERBS = ["get", "list", "patch", "create", "delete"]
KINDS = [("nodes", "Node", False), ("namespaces", "Namespace", False), ("configmaps", "ConfigMap", True), ("events", "Event", True)]
FIXED: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.4"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "kind": kind, "namespaced": inside, "verbs": VERBS, "singularName": kind.lower()} for name, kind, inside in KINDS
        ],
    },
}


class Api(Server):
    """at: method and path of the request; fault: fails (HTTP 500), hangs (no answer), lies (a page of HTML with status 200)."""

    def __init__(self, at: str, fault: str) -> None:
        self.at, self.fault = at, fault
        super().__init__("127.0.0.1", Handler)

    def fits(self, request: str) -> bool:
        return request.startswith(self.at)


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].rstrip("/")
        fault = self.server.due(f"{self.command} {path}")
        if fault == "hangs":
            self.server.ended.wait()
            self.close_connection = True
        elif fault == "fails":
            self.answer(500, "etcdserver: request timed out", "text/plain")
        elif fault == "lies":
            self.answer(200, "<html>Welcome</html>", "text/html")
        else:
            self.answer(*self.found(path, body))

    do_PATCH = do_POST = do_GET

    def found(self, path: str, body: bytes) -> tuple[int, str]:
        """Status and JSON of an honest answer."""
        if path in FIXED:
            return 200, json.dumps(FIXED[path])
        if path == "/api/v1/nodes":
            return 200, json.dumps({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [NODE]})
        if path.startswith("/api/v1/nodes/"):
            return 200, json.dumps(NODE)
        if path == "/api/v1/events":
            return 200, json.dumps({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []})
        if self.command == "PATCH":
            made = {"name": path.rpartition("/")[2], "resourceVersion": "1", "uid": "n1"}
            return 201, json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": made})
        return 404, json.dumps({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": f"{path} not found", "code": 404})

    def answer(self, status: int, text: str, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass

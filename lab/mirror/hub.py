"""Stand-in of the Hugging Face hub: the part of its HTTP interface that huggingface_hub uses to list and fetch a pinned revision.

Serves /srv/mirror/hub by /srv/mirror/hub.json. /srv/fault names a fault to act out as long as it is there:
401, 403, 404, 429, 503 (that status), corrupt (weights of the right length with one bit flipped), stall (half a file, then silence).
It does not prove: Xet transfers, redirects to a content network, gated repositories' web pages.
"""

import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path("/srv/mirror")
FAULT = Path("/srv/fault")
REPOSITORIES = json.loads((ROOT / "hub.json").read_text())
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?(?:/(?P<path>.*))?$")
FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


def fault() -> str:
    try:
        return FAULT.read_text().strip()
    except FileNotFoundError:
        return ""


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        acted = fault()
        if path == "/health":
            self._json({"ok": True})
        elif acted.isdigit():
            self._error(int(acted), f"the hub was told to answer {acted}")
        elif match := API.match(path):
            self._model(**match.groupdict())
        elif match := FILE.match(path):
            self._file(acted, **match.groupdict())
        else:
            self._error(404, f"no such address: {path}")

    def _model(self, repo: str, what: str | None, revision: str | None, path: str | None) -> None:
        revisions = REPOSITORIES.get(repo)
        if not revisions:
            return self._error(404, f"Repository {repo} not found", "RepoNotFound")
        revision = max(revisions) if revision in (None, "main") else revision
        if revision not in revisions:
            return self._error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files = revisions[revision]
        if what == "tree":
            return self._json([_entry(file) for file in files])
        siblings = [{"rfilename": f["path"], "size": f["size"], "blobId": f["blob"]} | _lfs(f, "sha256") for f in files]
        return self._json({"id": repo, "modelId": repo, "sha": revision, "private": False, "gated": False, "siblings": siblings})

    def _file(self, acted: str, repo: str, revision: str, path: str) -> None:
        files = REPOSITORIES.get(repo, {}).get(revision)
        if files is None:
            return self._error(404, f"no {repo} at {revision}", "RevisionNotFound")
        entry = next((file for file in files if file["path"] == path), None)
        if entry is None:
            return self._error(404, f"no {path} in {repo} at {revision}", "EntryNotFound")
        data = (ROOT / "hub" / repo / revision / path).read_bytes()
        if acted == "corrupt" and "lfs" in entry:
            data = data[:-1] + bytes([data[-1] ^ 1])
        first, last = _range(self.headers.get("Range"), len(data))
        if first > last and data:
            return self._json({"error": "range not satisfiable"}, 416, {"Content-Range": f"bytes */{len(data)}"})
        etag = entry.get("lfs", entry["blob"])
        self.send_response(206 if self.headers.get("Range") else 200)
        for name, value in {
            "X-Repo-Commit": revision,
            "ETag": f'"{etag}"',
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": entry["size"],
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Length": last - first + 1,
            "Content-Range": f"bytes {first}-{last}/{len(data)}" if self.headers.get("Range") else None,
        }.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return None
        body = data[first : last + 1]
        if acted == "stall":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            while fault() == "stall":
                time.sleep(1)
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, message: str, code: str | None = None) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | ({"Retry-After": "1"} if status == 429 else {})
        self._json({"error": message}, status, headers)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: their headers hold tokens."""


def _lfs(file: dict[str, Any], digest: str) -> dict[str, Any]:
    return {"lfs": {digest: file["lfs"], "size": file["size"], "pointerSize": file["pointer"]}} if "lfs" in file else {}


def _entry(file: dict[str, Any]) -> dict[str, Any]:
    return {"type": "file", "path": file["path"], "size": file["size"], "oid": file["blob"]} | _lfs(file, "oid")


def _range(header: str | None, size: int) -> tuple[int, int]:
    match = re.match(r"bytes=(\d+)-(\d*)$", header or "")
    return (int(match[1]), min(int(match[2] or size - 1), size - 1)) if match else (0, size - 1)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8080), Hub).serve_forever()

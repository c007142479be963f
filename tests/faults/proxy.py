"""A proxy before the API of the lab's cluster. The first request that fits meets a fault; every other goes through, streams too."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.faults.server import Server

FAILS = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 30\r\nConnection: close\r\n\r\netcdserver: request timed out\n"
LIES = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>Welcome</html>"
PIECE = 1 << 16  # bytes


class Proxy(Server):
    """at: expression for method and path; fault: fails (HTTP 500), hangs (no answer), lies (a page of HTML with status 200)."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig = kubeconfig.read_text()
        known = yaml.safe_load(self._kubeconfig)
        cluster, user = known["clusters"][0]["cluster"], known["users"][0]["user"]
        target = urlsplit(cluster["server"])
        self._upstream = (str(target.hostname), int(target.port or 443))
        identity = folder / "identity.pem"
        identity.touch(mode=0o600)
        identity.write_bytes(b"".join(base64.b64decode(user[part]) for part in ("client-certificate-data", "client-key-data")))
        self._context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._context.load_cert_chain(identity)
        super().__init__("127.0.0.1", Handler)

    @property
    def kubeconfig(self) -> str:
        """One by which clients reach the proxy."""
        known: dict[str, Any] = yaml.safe_load(self._kubeconfig)
        known["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.server_port}"}
        known["users"][0]["user"] = {}
        return yaml.safe_dump(known)

    @contextmanager
    def upstream(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(self._upstream, 10) as plain,
            self._context.wrap_socket(plain, server_hostname=self._upstream[0]) as safe,
        ):
            safe.settimeout(None)
            yield safe


class Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.due(f"{self.command} {self.path}")
        self.close_connection = True
        if fault == "hangs":
            self.server.ended.wait()
        elif fault:
            self.wfile.write(FAILS if fault == "fails" else LIES)
        else:
            self._pass_on(body)

    do_PATCH = do_POST = do_PUT = do_DELETE = do_GET

    def _pass_on(self, body: bytes) -> None:
        upgrade = self.headers.get("Upgrade")
        kept = [(name, value) for name, value in self.headers.items() if name.lower() not in ("connection", "host")]
        head = [self.requestline, f"Host: {self.headers['Host']}", f"Connection: {'Upgrade' if upgrade else 'close'}"]
        with self.server.upstream() as upstream:
            upstream.sendall("\r\n".join([*head, *(f"{name}: {value}" for name, value in kept), "", ""]).encode() + body)
            if upgrade:  # ends when the client's side does, which shuts the other
                threading.Thread(target=pump, args=(self.connection, upstream), daemon=True).start()
            pump(upstream, self.connection)

    def log_message(self, *_: object) -> None:
        pass


def pump(source: socket.socket, target: socket.socket) -> None:
    """Carry what comes from one to the other until either has ended."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

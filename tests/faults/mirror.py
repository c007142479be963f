"""A mirror and HTTP proxy before the lab's mirror and Debian's. The first request that fits meets a fault; every other is passed on."""

import http.client
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.faults.server import Server

UPSTREAM = "http://10.77.0.2"
ADDRESS = "10.77.0.1"
PIECE = 1 << 16  # bytes
OTHER = bytes(byte ^ 1 for byte in range(256))  # for each byte another
HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "host", "accept-encoding"}


class Mirror(Server):
    """fault: fails (HTTP 500), hangs (half an answer, then silence), lies (other bytes of the same length); at: expression for its URL."""

    def __init__(self) -> None:
        super().__init__(ADDRESS, Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = self.path if self.path.startswith("http") else UPSTREAM + self.path
        fault = self.server.due(url) if self.command == "GET" else ""
        if fault == "fails":
            self.send_error(500, "broken on purpose")
            return
        target = urlsplit(url)
        upstream = http.client.HTTPConnection(target.netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        upstream.request(self.command, f"{target.path}?{target.query}".rstrip("?"), headers=headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Connection", "close")
        self.end_headers()
        for piece in iter(lambda: answer.read(PIECE), b""):  # piece by piece, since who waits for the first byte may lose patience
            if fault == "hangs":
                self.wfile.write(piece[: len(piece) // 2])
                self.server.ended.wait()
                self.close_connection = True
                break
            self.wfile.write(piece.translate(OTHER) if fault == "lies" else piece)
        upstream.close()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

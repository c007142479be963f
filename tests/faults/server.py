"""An HTTP server of which one request meets a fault."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """at: which request; fault: what it meets; met: whether it has; ended: set when whoever hangs shall go."""

    daemon_threads = True
    fault, at, met = "", "", False

    def __init__(self, address: str, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__((address, 0), handler)
        self.ended = threading.Event()
        self._one = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def misbehave(self, fault: str, at: str) -> None:
        """Let the next request that fits `at`, an expression, meet a fault."""
        self.fault, self.at, self.met = fault, at, False

    def fits(self, request: str) -> bool:
        """Whether a request is the one that `at` names."""
        return re.search(self.at, request) is not None

    def due(self, request: str) -> str:
        """The fault, for the first request that fits; empty for all others."""
        with self._one:
            if self.met or not self.at or not self.fits(request):
                return ""
            self.met = True
            return self.fault

    def close(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()

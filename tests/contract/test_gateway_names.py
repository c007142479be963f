"""The gateway goes on with the replicas that it knows when the cluster's DNS fails: a real HAProxy, and a DNS server that misbehaves."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway

from tests import haproxy
from tests.loopback import free, program

A = 1  # type of a question for an IPv4 address
NOT_ANSWERED = {"silent": None, "SERVFAIL": 2, "REFUSED": 5}  # and the code that is answered instead
# HAProxy asks about once in a second, and by default drops a server after 30 s without a valid answer.
QUESTIONS = 45


class Names(socketserver.ThreadingUDPServer):
    """A DNS server for which every name is 127.0.0.1 until `fault` is set; asked: questions since then."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Question)
        self.fault, self.asked, self.question = "", 0, threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def until(self, what: str, true: Callable[[], bool]) -> None:
        """Looks after every question."""
        with self.question:
            assert self.question.wait_for(true, 120), what

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()

    def enough(self) -> bool:
        return self.asked >= QUESTIONS


class Question(socketserver.BaseRequestHandler):
    server: Names

    def handle(self) -> None:
        packet, answers = self.request
        question = packet[12 : packet.index(0, 12) + 5]
        found, code = question[-3] == A, 0
        with self.server.question:
            fault = self.server.fault
            self.server.asked += bool(fault)
            self.server.question.notify_all()
        if fault:
            if (code := NOT_ANSWERED[fault]) is None:
                return
            found = False
        address = struct.pack("!HHHLH", 0xC00C, A, 1, 1, 4) + socket.inet_aton("127.0.0.1") if found else b""
        head = packet[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, found, 0, 0)
        answers.sendto(head + question + address, self.client_address)


class Healthy(BaseHTTPRequestHandler):
    """An engine that is well."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def running(folder: Path, names: Names, engine: int) -> Iterator[int]:
    """HAProxy with one replica, found by its name; yields the port of its metrics."""
    folder.mkdir()
    (folder / "keys.map").touch()
    health = free()
    servers = [f"server-template replica 1-1 tiny.llm.svc.cluster.local:{engine} resolvers cluster init-addr none"]
    settings: gateway.Settings = {
        "bind": f"127.0.0.1:{free()}",
        "health": f"127.0.0.1:{health}",
        "runtime": f"ipv4@127.0.0.1:{free()}",
        "keys": str(folder / "keys.map"),
        "body": 4096,
        "connections": 16,
        "answer": 60,
    }
    text = gateway.configuration([{"name": "tiny", "served_name": "tiny", "health": "/health", "servers": servers}], settings)
    assert "parse-resolv-conf" in text
    file = folder / "haproxy.cfg"
    file.write_text(text.replace("parse-resolv-conf", f"nameserver here {':'.join(map(str, names.server_address))}"))
    with program(folder / "log", *haproxy.command(file), ENGINE_KEY="rs-engine"):
        yield health


def up(health: int) -> bool:
    """Whether the replica counts as one that serves."""
    with contextlib.suppress(OSError):
        connection = HTTPConnection("127.0.0.1", health, timeout=10)
        connection.request("GET", "/metrics")
        return 'haproxy_backend_active_servers{proxy="tiny"} 1' in connection.getresponse().read().decode().splitlines()
    return False


def test_replicas_stay_while_the_clusters_dns_is_away(tmp_path: Path, engine: int) -> None:
    with contextlib.ExitStack() as stack:
        sites = {}
        for fault in NOT_ANSWERED:
            names = stack.enter_context(Names())
            sites[fault] = names, stack.enter_context(running(tmp_path / fault, names, engine))
        for fault, (names, health) in sites.items():
            names.until(f"not up before {fault}", partial(up, health))
            names.fault = fault
        for fault, (names, _) in sites.items():
            names.until(f"not asked while {fault}", names.enough)
        assert {fault: up(health) for fault, (_, health) in sites.items()} == dict.fromkeys(NOT_ANSWERED, True)

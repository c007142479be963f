"""The gateway's configuration in a real HAProxy, before engines of two replicas that say what they got."""

import contextlib
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import (
    certificates,
    gateway,
    gateway_client,
    gateway_keys,
    gateway_objects,
    gateway_replicas,
)

from tests import haproxy
from tests.loopback import free

CHAT, SERVED, OTHER = "/v1/chat/completions", "org/tiny:1", "other"
PROMPT, QUERY = "what-nobody-else-may-read", "api_key=in-a-query"
CHECKS = 3  # late answers to checks, whose misses would take a replica out
LATER = 1 << 40
BODY, CONNECTIONS = 4096, 64
KEYS = {
    "rk-good": gateway_keys.Key("", "good"),
    "rk-old": gateway_keys.Key("", "old", expires=1),
    "rk-young": gateway_keys.Key("", "young", expires=LATER),
    "rk-other": gateway_keys.Key("", "narrow", models=(OTHER,)),
    "rk-logged": gateway_keys.Key("", "logged"),
    "rk-few": gateway_keys.Key("", "few", rate=3),
}


def hashed(key: str) -> str:
    """What the gateway keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def line(key: str, record: gateway_keys.Key) -> str:
    return gateway_keys.line(replace(record, sha256=hashed(key)))


class Engine(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.got: list[tuple[str, str, dict[str, str]]] = []
        self.connections: list[socket.socket] = []  # of each request
        self.go_on, self.held, self.left = threading.Event(), threading.Event(), threading.Event()
        self.late = 0.0  # seconds until a check of its health is answered
        self.checks = 0  # of its health that it was to answer, late or not
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A check of its health that was cut off is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            time.sleep(self.server.late)
            self.server.checks += 1
            self.answer(b"")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.connections.append(self.connection)
        asked = json.loads(body or b"{}")
        if asked.get("hold"):
            self.server.held.set()
            self.server.go_on.wait(60)
        if asked.get("watch"):
            self.server.held.set()
            with contextlib.suppress(ConnectionError):
                assert self.connection.recv(1) == b""
            self.server.left.set()
        if not asked.get("stream"):
            self.answer(json.dumps({"replica": self.server.server_port}).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"data: one\n\n", b"data: [DONE]\n\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.server.go_on.wait(60)  # the second piece is sent once the first was read
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Gateway:
    """A running HAProxy; engines: of the model; log: what it wrote."""

    def __init__(self, folder: Path, tls: str = "", handler: type[BaseHTTPRequestHandler] | None = None) -> None:
        self.engines = [Engine(handler), Engine(handler)]
        self.port, self.health, self.runtime = free(), free(), free()
        self.log = folder / "log"
        keys = folder / "keys.map"
        keys.write_text("".join(f"{line(key, record)}\n" for key, record in KEYS.items()))
        servers = [f"server r{number} 127.0.0.1:{engine.server_port}" for number, engine in enumerate(self.engines)]
        models = [
            {"name": "tiny", "served_name": SERVED, "health": "/health", "servers": servers},
            {"name": "other", "served_name": OTHER, "health": "/health", "servers": [f"server r0 127.0.0.1:{free()}"]},
        ]
        settings: gateway.Settings = {
            "bind": f"127.0.0.1:{self.port}{tls}",
            "health": f"127.0.0.1:{self.health}",
            "runtime": f"ipv4@127.0.0.1:{self.runtime}",
            "keys": str(keys),
            "body": BODY,
            "connections": CONNECTIONS,
            "answer": 60,
        }
        file = folder / "haproxy.cfg"
        file.write_text(gateway.configuration(models, settings))
        with self.log.open("w") as log:
            environment = os.environ | {"ENGINE_KEY": "rs-engine"}
            self.process = subprocess.Popen(haproxy.command(file), env=environment, stdout=log, stderr=subprocess.STDOUT)
        self._until_up()

    def _until_up(self) -> None:
        """Until both replicas of the one model count as up, and that of the other as down."""
        deadline = time.monotonic() + 60
        while self.states() != ["DOWN", "UP", "UP"]:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def _rows(self) -> list[list[str]]:
        """Servers, by name of their model, as the runtime API lists them."""
        try:
            return sorted(row.split(",") for row in self.tell("show stat -1 4 -1").splitlines() if not row.startswith("#") and row)
        except OSError:
            return []

    def states(self) -> list[str]:
        """Of the other model's replica and both of the one, as their checks have them; one that has just failed is UP 2/3."""
        return [row[17] for row in self._rows()]

    def tell(self, command: str) -> str:
        """Answer of the runtime API."""
        with socket.create_connection(("127.0.0.1", self.runtime), timeout=10) as connection:
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def ask(
        self, method: str, path: str, key: str = "", body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, HTTPResponse]:
        """Status, JSON and the response itself; the path goes on the wire as it stands."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_accept_encoding=True)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {key}"} if key else {}
        for name, value in {**given, "Content-Length": str(len(data)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else text, response

    def look(self, path: str, timeout: int = 60) -> tuple[int, bytes]:
        """Status and body at the port of probes and metrics."""
        connection = HTTPConnection("127.0.0.1", self.health, timeout=timeout)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def connected(self) -> int:
        """Connections of clients."""
        rows = [row.split(",") for row in self.tell("show stat").splitlines()]
        return next(int(row[4]) for row in rows if row[:2] == ["_api", "FRONTEND"])

    def chat(self, key: str, **fields: Any) -> tuple[int, Any, HTTPResponse]:
        return self.ask("POST", CHAT, key, {"model": SERVED, "messages": [{"role": "user", "content": PROMPT}], **fields})

    @property
    def forwarded(self) -> list[tuple[str, str, dict[str, str]]]:
        return [got for engine in self.engines for got in engine.got]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        for engine in self.engines:
            engine.go_on.set()
            engine.shutdown()
            engine.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    try:
        yield gateway
    finally:
        gateway.end()


@pytest.fixture
def proxy(running: Gateway) -> Gateway:
    """The one gateway, with engines that have got nothing yet."""
    for engine in running.engines:
        engine.got.clear()
        engine.go_on.clear()
        engine.held.clear()
        engine.left.clear()
        engine.connections.clear()
    return running


ROUTES = [
    ("GET", "/"), ("GET", "/health"), ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("POST", "/invocations"),
    ("POST", "/tokenize"), ("POST", "/v1/load_lora_adapter"), ("POST", "/v1/models"), ("GET", CHAT), ("PUT", CHAT), ("DELETE",
    "/v1/models"), ("OPTIONS", CHAT), ("TRACE", CHAT), ("POST", f"/{CHAT}"), ("POST", "/v1//chat/completions"), ("POST",
    "/v1/./chat/completions"), ("POST", f"/x/..{CHAT}"), ("POST", f"{CHAT}/"), ("POST", "/v1/chat%2fcompletions"), ("POST",
    "/v1/%63hat/completions"), ("POST", "/V1/chat/completions"), ("POST", f"{CHAT};x"), ("POST", f"/v1/models/..{CHAT}"), ("POST",
    "http://engine/invocations"), ("POST", "/v1/../invocations"), ("POST", f"/v1/..{CHAT}"), ("POST", "/v1/%2e%2e/invocations"), ("POST",
    "/v1/%2E/chat/completions"), ("POST", f"/v1/%2e%2e{CHAT}"), ("POST", f"{CHAT}/%2e%2e/%2e%2e/%2e%2e/invocations"),
]  # fmt: skip


def test_nothing_but_the_allowlist_answers(proxy: Gateway) -> None:
    seen = {
        (method, path, key): proxy.ask(method, path, key, {"model": SERVED})[0]
        for method, path in ROUTES
        for key in ("", "rk-no", "rk-good")
    }
    assert {route: status for route, status in seen.items() if status != 404} == {}
    assert proxy.forwarded == []


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("", 401, "invalid_api_key"),
        ("rk-no", 401, "invalid_api_key"),
        ("rs-engine", 401, "invalid_api_key"),
        (hashed("rk-good"), 401, "invalid_api_key"),
        ("rk-old", 401, "invalid_api_key"),
        ("rk-other", 403, "model_not_allowed"),
    ],
)
def test_a_key_that_may_not_gets_nothing(proxy: Gateway, key: str, status: int, code: str) -> None:
    seen, body, _ = proxy.chat(key)
    assert (seen, body["error"]["code"]) == (status, code)
    assert proxy.forwarded == []


def test_a_right_key_is_exchanged_for_the_engine_s_own(proxy: Gateway) -> None:
    assert proxy.chat("rk-young")[0] == 200
    [(method, path, headers)] = proxy.forwarded
    assert (method, path, headers["authorization"]) == ("POST", CHAT, "Bearer rs-engine")
    assert "rk-young" not in str(headers)


def test_models_are_listed_for_who_has_a_key(proxy: Gateway) -> None:
    assert proxy.ask("GET", "/v1/models")[0] == 401
    status, body, _ = proxy.ask("GET", f"/v1/models?{QUERY}", "rk-good")
    assert (status, [model["id"] for model in body["data"]]) == (200, [SERVED, OTHER])
    assert [model["id"] for model in proxy.ask("GET", "/v1/models", "rk-other")[1]["data"]] == [OTHER]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b'{"messages": []}', 400),
        (b'{"x": {"model": "org/tiny:1"}}', 400),
        (b'{"model": "org/tiny:1 "}', 404),
        (b'{"model": ["org/tiny:1"]}', 404),
        (rb'{"model": "org\/tiny:1"}', 400),
        (rb'{"model": "org\\/tiny:1"}', 404),
        (b'{"x": ' + b"[" * 19 + b"]" * 19 + b', "model": "org/tiny:1"}', 200),
        (b'{"x": ' + b"[" * 20 + b"]" * 20 + b', "model": "org/tiny:1"}', 400),
        (b'{"model": "org/tiny:1", "x": ' + b"[" * 99 + b"]" * 99 + b"}", 200),
        (b'{"messages": ["' + b"x" * 3000 + b'"], "model": "org/tiny:1"}', 200),
        (b'{"messages": ["' + b"x" * BODY + b'"], "model": "org/tiny:1"}', 413),
    ],
)
def test_the_model_is_read_from_the_body(proxy: Gateway, body: bytes, status: int) -> None:
    assert proxy.ask("POST", CHAT, "rk-good", body)[0] == status
    assert len(proxy.forwarded) == (status == 200)


def test_why_no_model_was_found_is_told(proxy: Gateway) -> None:
    _, body, _ = proxy.ask("POST", CHAT, "rk-good", rb'{"model": "org\/tiny:1"}')
    assert "JSON_UNESCAPED_SLASHES" in body["error"]["message"]
    assert "nested deeper than 20 levels" in body["error"]["message"]


def test_numbers_of_any_size_cost_no_time(proxy: Gateway) -> None:
    """CVE-2025-11230: HAProxies before its fix multiply by ten as often as an exponent says, and answer nobody meanwhile."""
    began = time.monotonic()
    body = b'{"a": [' + b", ".join([b"1e999999999"] * 100) + b'], "model": "org/tiny:1"}'
    assert proxy.ask("POST", CHAT, "rk-good", body)[0] == 200
    assert time.monotonic() - began < 10
    assert proxy.process.poll() is None
    assert proxy.chat("rk-good")[0] == 200


def test_a_body_in_chunks_is_bound_too(proxy: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as connection:
        connection.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rk-good\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        piece = b'{"model": "org/tiny:1", "x": "' + b"x" * (BODY + 40_000)
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert connection.recv(64).split()[1] == b"413"
    assert proxy.forwarded == []


def test_long_headers_are_refused(proxy: Gateway) -> None:
    status, _, _ = proxy.ask("POST", CHAT, "rk-good", {"model": SERVED}, {"X-Long": "x" * gateway.HEADERS})
    assert status in (400, 431)
    assert proxy.forwarded == []


def test_a_client_is_held_to_its_rate(proxy: Gateway) -> None:
    seen = [proxy.chat("rk-few") for _ in range(4)]
    assert [status for status, _, _ in seen] == [200, 200, 200, 429]
    assert seen[-1][2].headers["Retry-After"] == "60"
    assert proxy.chat("rk-good")[0] == 200


def test_a_model_without_replicas_is_announced(proxy: Gateway) -> None:
    status, body, response = proxy.ask("POST", CHAT, "rk-other", {"model": OTHER})
    assert (status, body["error"]["type"], response.headers["Retry-After"]) == (503, "server_error", "30")


def test_a_replica_that_is_gone_is_announced_before_its_check_has_failed(tmp_path: Path) -> None:
    proxy = Gateway(tmp_path)
    try:
        for engine in proxy.engines:
            engine.shutdown()
            engine.server_close()
        answers = [proxy.chat("rk-good") for _ in range(3)]
    finally:
        proxy.end()
    said = {(status, body["error"]["code"], response.headers["Retry-After"]) for status, body, response in answers}
    assert said == {(503, "unavailable", "30")}


def test_a_replica_that_is_late_with_its_check_is_kept(proxy: Gateway) -> None:
    for engine in proxy.engines:
        engine.late, engine.checks = 3, 0
    try:
        while min(engine.checks for engine in proxy.engines) < CHECKS:
            assert proxy.states() == ["DOWN", "UP", "UP"]
            time.sleep(0.2)
        assert proxy.states() == ["DOWN", "UP", "UP"]
    finally:
        for engine in proxy.engines:
            engine.late = 0


def test_a_stream_s_first_piece_comes_before_the_next_is_sent(proxy: Gateway) -> None:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    body = json.dumps({"model": SERVED, "stream": True})
    connection.request("POST", CHAT, body, {"Authorization": "Bearer rk-good"})
    response = connection.getresponse()
    assert response.readline() == b"data: one\n"
    for engine in proxy.engines:
        engine.go_on.set()
    assert response.read().endswith(b"data: [DONE]\n\n")


def test_a_busy_replica_is_passed_by(proxy: Gateway) -> None:
    held = threading.Thread(target=proxy.chat, args=("rk-good",), kwargs={"hold": True}, daemon=True)
    held.start()
    while not any(engine.held.wait(0.05) for engine in proxy.engines):
        assert held.is_alive()
    busy = next(engine for engine in proxy.engines if engine.held.is_set())
    assert busy.server_port not in {proxy.chat("rk-good")[1]["replica"] for _ in range(6)}
    busy.go_on.set()
    held.join(60)


def test_an_engine_sees_that_who_asked_has_gone(proxy: Gateway) -> None:
    """Else it computes on for nobody."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    connection.request("POST", CHAT, json.dumps({"model": SERVED, "watch": True}), {"Authorization": "Bearer rk-good"})
    deadline = time.monotonic() + 60
    while not any(engine.held.wait(0.05) for engine in proxy.engines):
        assert time.monotonic() < deadline
    connection.close()
    [engine] = [engine for engine in proxy.engines if engine.held.is_set()]
    assert engine.left.wait(30)


def test_no_request_goes_over_a_connection_that_an_engine_may_be_closing(proxy: Gateway) -> None:
    """It would get no answer: after 5 idle seconds uvicorn closes a connection, whatever is on its way."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    for _ in range(6):
        connection.request("POST", CHAT, json.dumps({"model": SERVED}), {"Authorization": "Bearer rk-good"})
        assert connection.getresponse().read()
        assert proxy.chat("rk-good")[0] == 200
    used = [used for engine in proxy.engines for used in engine.connections]
    assert len(used) == len(set(map(id, used))) == 12


def test_keys_come_and_go_in_a_running_gateway(proxy: Gateway) -> None:
    keys = proxy.log.parent / "keys.map"
    assert proxy.chat("rk-new")[0] == 401
    proxy.tell(f"add map {keys} {line('rk-new', gateway_keys.Key('', 'new'))}")
    assert proxy.chat("rk-new")[0] == 200
    proxy.tell(f"del map {keys} {hashed('rk-new')}")
    assert proxy.chat("rk-new")[0] == 401


def test_the_log_has_neither_keys_nor_prompts(proxy: Gateway) -> None:
    """A line is written some time after its answer, and threads of HAProxy do not wait for one another."""
    proxy.chat("rk-logged")
    proxy.ask("POST", f"{CHAT}?{QUERY}", "rk-logged", {"model": SERVED, "prompt": PROMPT})
    proxy.ask("GET", f"/v1/models?{QUERY}", "rk-logged")
    proxy.chat("rk-no")
    proxy.ask("PUT", "/rk-logged/in-a-path")
    assert [path for _, path, _ in proxy.forwarded] == [CHAT, CHAT]
    wanted = Counter({("logged", "POST", CHAT): 2, ("logged", "GET", "/v1/models"): 1, ("-", "POST", CHAT): 1, ("-", "PUT", "-"): 1})
    deadline = time.monotonic() + 60
    while wanted - Counter(tuple(line.split()[1:4]) for line in proxy.log.read_text().splitlines()):
        assert time.monotonic() < deadline, proxy.log.read_text()
    assert re.findall("rk-|rs-engine|what-nobody|in-a-query|in-a-path", proxy.log.read_text()) == []


def test_health_is_of_its_own_port(proxy: Gateway) -> None:
    assert proxy.look("/healthz")[0] == 200
    assert b"haproxy_backend_active_servers" in proxy.look("/metrics")[1]
    assert proxy.look("/anything")[0] == 404


def test_it_is_healthy_while_clients_hold_every_connection(proxy: Gateway) -> None:
    """Else its probes fail, it is restarted, and the other replica gets its load too."""
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS + 8):
            held.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=10))
        deadline = time.monotonic() + 10  # sooner than one that sends nothing is ended
        while proxy.connected() < CONNECTIONS:
            assert time.monotonic() < deadline
        assert proxy.look("/healthz", timeout=5)[0] == 200
        assert proxy.connected() == CONNECTIONS
    assert proxy.chat("rk-good")[0] == 200


class Cluster:
    """As much of a cluster as the runtime API is reached through: one replica, and the Secret."""

    def __init__(self, proxy: Gateway, keys: list[gateway_keys.Key]) -> None:
        self.proxy, self.keys = proxy, keys

    def connection(self, *_: object) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.proxy.runtime), timeout=10)

    def get(self, *_: object) -> dict[str, Any]:
        return {"kind": "Secret"}

    def secret(self, *_: object) -> dict[str, str]:
        return {gateway_objects.KEYS_FILE: gateway_keys.text(self.keys)}

    def list(self, *_: object) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "one"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]


def test_a_replica_is_told_of_all_keys_at_once_and_of_a_difference_only(proxy: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_objects, "KEYS_PATH", str(proxy.log.parent / "keys.map"))
    before = [replace(record, sha256=hashed(key)) for key, record in KEYS.items()]
    after = [*before[1:], gateway_keys.Key(hashed("rk-told"), "told", models=(SERVED,), rate=9)]
    cluster: Any = Cluster(proxy, after)
    assert gateway_replicas.problems(cluster) == {"one": "2 keys differ from the Secret's"}
    assert [gateway_replicas.told(cluster, "one", keys) for keys in (before, after, after)] == [False, True, False]
    assert gateway_replicas.problems(cluster) == {"one": ""}
    assert [proxy.chat(key)[0] for key in ("rk-good", "rk-told", "rk-young")] == [401, 200, 200]
    assert gateway_replicas.told(cluster, "one", []) is True
    assert proxy.chat("rk-told")[0] == 401
    assert gateway_replicas.told(cluster, "one", before) is True
    assert proxy.chat("rk-good")[0] == 200


def with_tls(folder: Path, handler: type[BaseHTTPRequestHandler] | None = None) -> Gateway:
    """With a certificate of an authority of its own, which is ca.crt in the folder."""
    ca, tls = certificates.made({}, {}, ["127.0.0.1"])
    (folder / "ca.crt").write_text(ca["tls.crt"])
    (folder / "gateway.pem").write_text(tls["tls.crt"])
    (folder / "gateway.pem.key").write_text(tls["tls.key"])
    return Gateway(folder, f" ssl crt {folder}/gateway.pem alpn http/1.1", handler)


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, gateway_client.Address]]:
    """A gateway with a certificate of an authority of ours, and how it is asked."""
    folder = tmp_path_factory.mktemp("tls")
    running = with_tls(folder)
    try:
        yield running, {"host": "127.0.0.1", "port": running.port, "ca": [str(folder / "ca.crt")]}
    finally:
        running.end()


def test_over_tls_a_right_key_is_let_in_and_no_other(over_tls: tuple[Gateway, gateway_client.Address]) -> None:
    _, address = over_tls
    assert gateway_client.listed(address, "rk-good", 30) == [SERVED, OTHER]
    assert gateway_client.listed(address, "rk-other", 30) == [OTHER]
    assert "HTTP 401" in gateway_client.listed(address, "rk-old", 30)
    assert gateway_client.refusals(address, 30) == {"no key": "HTTP 401", "a wrong key": "HTTP 401"}
    assert "CERTIFICATE_VERIFY_FAILED" in gateway_client.listed({**address, "ca": []}, "rk-good", 30)
    model = {"served_name": SERVED, "golden_prompts": [{"prompt": "a", "expect": "b"}], "context_length": 64}
    assert "KeyError" in gateway_client.answer_problem(address, "rk-good", model, 30)  # the engines here give no answer, only their port
    assert "HTTP 503" in gateway_client.answer_problem(address, "rk-good", {**model, "served_name": OTHER}, 30)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("version", "spoken"), [(ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")])
def test_old_tls_is_not_spoken(over_tls: tuple[Gateway, gateway_client.Address], version: ssl.TLSVersion, spoken: str | None) -> None:
    proxy, address = over_tls
    context = ssl.create_default_context(cafile=address["ca"][0])
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # this side would speak it
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as plain:
        if spoken is None:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname="127.0.0.1")
        else:
            assert context.wrap_socket(plain, server_hostname="127.0.0.1").version() == spoken

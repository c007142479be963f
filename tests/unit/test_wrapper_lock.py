"""The artifacts lock, against a small publisher on this machine: files, checksums, registries with tokens, signing keys."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils.artifacts import problems

from rackstart import artifacts, cli
from rackstart.paths import Project
from tests.unit.tls_server import speak_tls

DIGEST = "sha256:" + "ab" * 32
BODY = b"a binary\n" * 1000
SUM = hashlib.sha256(BODY).hexdigest()
# A key made for this test alone; its fingerprint is the one that gpg shows
ARMORED = b"""-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawVCYhYJKwYBBAHaRw8BAQdATCOCqS1cZVNI44QIfoOpi5lPy2I5CROj4bY6
MBs9rEO0ElJhY2tzdGFydCB0ZXN0IGtleYiQBBMWCAA4FiEELIKtdS54fxzjj7ee
/OtQwZbTfGsFAmsFQmICGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ/OtQ
wZbTfGswcwD/TXjxxfO1ZsIf1qhNp2Ms++BBYtgb4NRTf+AFtuwFgiwBAOHzi8Bq
+PRrFnKHHY8o/3jrfsOjJ72uojAzkn1NEQ8P
=56qm
-----END PGP PUBLIC KEY BLOCK-----
"""
KEY = base64.b64decode(b"".join(ARMORED.splitlines()[2:-2]))
FINGERPRINT = "2C82AD752E787F1CE38FB79EFCEB50C196D37C6B"


class Publisher(ThreadingHTTPServer):
    """Serves `pages` (path -> body) and a registry; remembers what was asked for."""

    pages: dict[str, bytes]
    asked: list[str]
    token: str = ""  # asked for by the registry when set
    login: str = ""  # asked for by the token's door when set


class Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.path = self.path.removeprefix("http://mirror.test")  # a proxy is asked by the whole address
        if self.path.startswith("/token?"):
            if self.server.login not in ("", self.headers["Authorization"]):
                return self.answer(401, b"")
            return self.answer(200, json.dumps({"token": self.server.token}).encode())
        if self.path.startswith("/v2/"):
            if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
                realm = f'Bearer realm="http://127.0.0.1:{self.server.server_port}/token",service="registry",scope="repository:acme/engine:pull"'
                return self.answer(401, b"", **{"WWW-Authenticate": realm})
            known = self.path == "/v2/docker.io/acme/engine/manifests/v3" and "image.index" in self.headers["Accept"]
            return self.answer(200 if known else 404, b"", **({"Docker-Content-Digest": DIGEST} if known else {}))
        return self.answer(200, self.server.pages[self.path]) if self.path in self.server.pages else self.answer(404, b"")

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def publisher(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A mirror of example.org that the inventory points at."""
    monkeypatch.setenv("no_proxy", "*")
    server = Publisher(("127.0.0.1", 0), Handler)
    server.asked = []
    server.pages = {
        "/example.org/k3s%2B1/k3s": BODY,
        "/example.org/k3s%2B1/sums.txt": f"{'0' * 64}  other\n{SUM}  k3s\n".encode(),
        "/example.org/operator.tgz": b"chart",
        "/example.org/key.asc": ARMORED,
    }
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    (project.inventory / "group_vars").mkdir()
    (project.inventory / "group_vars" / "all.yml").write_text(
        f"port: {server.server_port}\nartifact_mirror: 'http://127.0.0.1:{{{{ port }}}}'\n"
    )
    declared = {
        "files": {"k3s": {"version": "v1", "url": "https://example.org/k3s%2B1/k3s", "checksums": "https://example.org/k3s%2B1/sums.txt"}},
        "charts": {"operator": {"version": "v2", "url": "https://example.org/operator.tgz"}},
        "images": {"engine": {"reference": "docker.io/acme/engine:v3"}},
        "repositories": {"driver": {"url": "https://example.org/debian/", "key": "https://example.org/key.asc"}},
        "hubs": {"hub": {"url": "https://hub.example.org"}},
    }
    (project.root / "artifacts.yml").write_text(yaml.safe_dump(declared))
    yield server
    server.shutdown()
    server.server_close()


def lock(project: Project) -> int:
    return cli.main(["--inventory", "rack", "lock"], project.root)


def test_everything_is_locked_through_the_mirror(project: Project, publisher: Publisher) -> None:
    assert lock(project) == 0
    assert yaml.safe_load(project.lock_file.read_text()) == {
        "files": {"k3s": {"version": "v1", "url": "https://example.org/k3s%2B1/k3s", "sha256": SUM}},
        "charts": {
            "operator": {"version": "v2", "url": "https://example.org/operator.tgz", "sha256": hashlib.sha256(b"chart").hexdigest()}
        },
        "images": {"engine": {"reference": "docker.io/acme/engine:v3", "digest": DIGEST}},
        "repositories": {
            "driver": {"key": "https://example.org/key.asc", "sha256": hashlib.sha256(ARMORED).hexdigest(), "fingerprint": FINGERPRINT}
        },
    }
    assert list(project.inventory.glob("*.tmp")) == []


def test_the_lock_is_what_the_roles_accept(project: Project, publisher: Publisher) -> None:
    lock(project)
    declared, locked = (yaml.safe_load(path.read_text()) for path in (project.root / "artifacts.yml", project.lock_file))
    assert problems(declared, locked) == []


def test_a_registry_that_wants_a_token_gets_one(project: Project, publisher: Publisher) -> None:
    publisher.token = "granted"
    assert lock(project) == 0
    assert any(line.startswith("GET /token?service=registry&scope=repository%3Aacme%2Fengine%3Apull") for line in publisher.asked)


def test_a_mirror_s_login_is_kept_under_its_host_and_port(project: Project, publisher: Publisher) -> None:
    publisher.token, publisher.login = "granted", f"Basic {base64.b64encode(b'rack:pw').decode()}"
    with (project.inventory / "group_vars" / "all.yml").open("a") as variables:
        variables.write(f"cluster_registry_auth: {{'127.0.0.1:{publisher.server_port}': {{username: rack, password: pw}}}}\n")
    assert lock(project) == 0


@pytest.mark.parametrize(
    ("page", "body", "said"),
    [
        ("/example.org/k3s%2B1/sums.txt", b"f" * 64 + b"  k3s\n", ["published " + "f" * 64, f"fetched   {SUM}"]),
        ("/example.org/k3s%2B1/sums.txt", b"", ["has no line for k3s"]),
        ("/example.org/operator.tgz", None, ["charts.operator: GET http://127.0.0.1", "HTTP 404"]),
        ("/example.org/key.asc", KEY + KEY, ["holds 2 keys; exactly one is expected"]),
        ("/example.org/key.asc", b"<html>", ["holds 0 keys"]),
    ],
)
def test_what_does_not_match_stops_and_keeps_the_old_lock(
    project: Project, publisher: Publisher, capsys: pytest.CaptureFixture[str], page: str, body: bytes | None, said: list[str]
) -> None:
    project.lock_file.write_text("files: {}\n")
    publisher.pages.pop(page)
    if body is not None:
        publisher.pages[page] = body
    assert lock(project) == 1
    error = capsys.readouterr().err
    for words in (*said, "inventories/rack/artifacts.lock.yml was not changed"):
        assert words in error
    assert project.lock_file.read_text() == "files: {}\n"
    assert list(project.inventory.glob("*.tmp")) == []


def test_a_publisher_that_does_not_answer_is_named(project: Project, publisher: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    (project.inventory / "group_vars" / "all.yml").write_text("artifact_mirror: http://127.0.0.1:9\n")
    assert lock(project) == 1
    assert "files.k3s: http://127.0.0.1:9/example.org/k3s%2B1/k3s: " in capsys.readouterr().err


def test_a_publisher_that_is_only_starting_is_asked_again(project: Project, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Publisher(("127.0.0.1", 0), Handler, bind_and_activate=False)
    late.server_bind()
    late.asked, late.pages = [], publisher.pages
    (project.inventory / "group_vars" / "all.yml").write_text(f"artifact_mirror: http://127.0.0.1:{late.server_port}\n")
    threading.Thread(target=late.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr("rackstart.artifacts.time.sleep", lambda _: late.server_activate())
    assert lock(project) == 0
    late.shutdown()
    late.server_close()


def test_the_environment_s_proxy_is_asked(project: Project, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.inventory / "group_vars" / "all.yml").write_text("artifact_mirror: http://mirror.test\n")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{publisher.server_port}")
    monkeypatch.setenv("no_proxy", "")
    assert lock(project) == 0
    assert "GET http://mirror.test/example.org/operator.tgz" in publisher.asked


def test_a_proxy_that_cannot_be_one_is_refused(
    project: Project, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("https_proxy", "ftp://proxy.test")
    monkeypatch.setenv("no_proxy", "")
    assert lock(project) == 2
    assert "https_proxy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("authority", "code", "said"),
    [
        ("authority.pem", 0, ""),
        ("", 1, "name the PEM file of its authority in cluster_ca_certificates"),
        ("missing.pem", 2, "missing.pem: No such file or directory"),
        ("artifacts.yml", 2, "cluster_ca_certificates"),
    ],
)
def test_a_mirror_of_a_private_authority_is_trusted_where_the_inventory_says_so(
    project: Project, publisher: Publisher, capsys: pytest.CaptureFixture[str], authority: str, code: int, said: str
) -> None:
    speak_tls(publisher, project.root)
    trusted = [str(project.root / authority)] if authority else []
    variables = {"artifact_mirror": f"https://127.0.0.1:{publisher.server_port}", "cluster_ca_certificates": trusted}
    (project.inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))
    assert lock(project) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cluster_registry_auth", "{'r.test:5000': 'rack:hush'}", "wrong for r.test:5000; write {HOST: {username: TEXT, password: TEXT}}"),
        ("cluster_registry_auth", "{r.test: {username: rack, pasword: hush}}", "wrong for r.test; write"),
        ("cluster_registry_auth", "{r.test: {username: rack, password: hush, hush: x}}", "wrong for r.test; write"),
        (
            "cluster_registry_auth",
            "{good.test: {username: a, password: b}, r.test: {username: rack, password: 1234}}",
            "wrong for r.test; ",
        ),
        ("cluster_registry_auth", "{r.test: {username: rack}}", "wrong for r.test; write"),
        ("cluster_registry_auth", "{'rack:hush': }", "wrong for entry 1; write"),
        ("cluster_registry_auth", "[{username: rack, password: hush}]", "it is no mapping; write"),
        ("cluster_registry_auth", "rack:hush", "it is no mapping; write"),
        ("cluster_ca_certificates", "[1234]", "no list of paths; write [PATH, ...]"),
        ("cluster_ca_certificates", "true", "no list of paths; write"),
        ("cluster_ca_certificates", "/etc/ca.pem", "no list of paths; write"),
        ("cluster_ca_certificates", "[~nobody-here/ca.pem]", "names ~nobody-here/ca.pem: "),
    ],
)
def test_a_login_or_authority_of_another_form_is_refused_before_anything_is_fetched(
    project: Project, publisher: Publisher, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    with (project.inventory / "group_vars" / "all.yml").open("a") as variables:
        variables.write(f"{name}: {value}\n")
    assert lock(project) == 2
    error = capsys.readouterr().err
    assert name in error
    assert said in error
    assert not [secret for secret in ("hush", "1234") if secret in error]
    assert publisher.asked == []


def test_a_digest_that_moved_under_one_version_is_said(project: Project, publisher: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    lock(project)
    assert capsys.readouterr().out.count("  new\n") == 4
    lock(project)
    assert capsys.readouterr().out.count("  unchanged\n") == 4
    publisher.pages["/example.org/operator.tgz"] = b"another chart"
    lock(project)
    former = hashlib.sha256(b"chart").hexdigest()
    assert f"CHANGED from {former}, under the same name and version" in capsys.readouterr().out


def test_fingerprints_of_armored_binary_old_and_new_packets() -> None:
    new_format = b"\xc6" + KEY[1:]  # the first packet's head, as RFC 9580 writes it
    for data in (ARMORED, ARMORED.replace(b"\n", b"\r\n"), KEY, new_format):
        assert artifacts.fingerprints(data) == [FINGERPRINT]
    assert artifacts.fingerprints(ARMORED + ARMORED) == [FINGERPRINT] * 2

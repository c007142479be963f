"""Which server a kubeconfig leads to: nothing is believed but a ready API that knows the user."""

import base64
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.modules import api_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVERS = {"server-1": "127.0.0.1", "server-2": "127.0.0.2"}
HANGS = 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """One that gives `answer`: status and text."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, text = server.answer  # type: ignore[attr-defined]
            if status == HANGS:
                ended.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked = server.asked = []  # type: ignore[attr-defined]
    server.certificate, key = certified("server", 365)  # type: ignore[attr-defined]
    (tmp_path / "server.pem").write_bytes(server.certificate + key)  # type: ignore[attr-defined]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    ended.set()
    server.shutdown()
    server.server_close()


def certified(group: str, days: float) -> tuple[bytes, bytes]:
    """A certificate of this machine or of a member of a group, and its key, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)])
    own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - datetime.timedelta(days=60), now + datetime.timedelta(days=days))
    signed = made.add_extension(own, critical=False).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM), private


def kubeconfig(server: ThreadingHTTPServer, folder: Path, group: str = "system:masters", days: float = 365, **cluster: Any) -> str:
    pair = zip(("client-certificate-data", "client-key-data"), certified(group, days), strict=True) if group else ()
    address, ca = f"https://127.0.0.1:{server.server_port}", base64.b64encode(server.certificate).decode()  # type: ignore[attr-defined]
    config = {
        "clusters": [{"name": "c", "cluster": {"server": address, "certificate-authority-data": ca, **cluster}}],
        "users": [{"name": "u", "user": {name: base64.b64encode(text).decode() for name, text in pair}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return str(folder / "kubeconfig")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ((200, "ok"), "server-1"),
        ((401, "Unauthorized"), ""),
        ((500, "[-]etcd failed"), ""),
        ((200, "<html>Log in to the proxy</html>"), ""),
    ],
    ids=["ready", "user unknown", "not ready", "web page"],
)
def test_only_a_ready_api_counts(server: ThreadingHTTPServer, tmp_path: Path, answer: tuple[int, str], name: str) -> None:
    server.answer = answer  # type: ignore[attr-defined]
    assert api_server.name(kubeconfig(server, tmp_path), SERVERS) == name
    assert server.asked == ["/readyz"]  # type: ignore[attr-defined]


def test_one_that_hangs_does_not_count(server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "PATIENCE", (1, 1))
    server.answer = (HANGS, "")  # type: ignore[attr-defined]
    assert api_server.name(kubeconfig(server, tmp_path), SERVERS) == ""


def test_one_that_is_no_server_of_the_inventory_is_not_asked(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert api_server.name(kubeconfig(server, tmp_path), {"server-2": "127.0.0.2"}) == ""
    assert server.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "given", [{"group": "viewers"}, {"group": ""}, {"days": 29}, {"days": -1}, {"insecure-skip-tls-verify": True}], ids=str
)
def test_one_that_k3s_would_not_write_now_is_not_used(server: ThreadingHTTPServer, tmp_path: Path, given: dict[str, Any]) -> None:
    server.answer = (200, "ok")  # type: ignore[attr-defined]
    assert api_server.name(kubeconfig(server, tmp_path, **given), SERVERS) == ""
    assert server.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [None, "", "nothing of it", "{", "clusters: 1"])
def test_a_file_that_is_no_kubeconfig_leads_nowhere(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    assert api_server.name(str(file), SERVERS) == ""


def test_a_server_that_is_away_leads_nowhere(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    assert api_server.name(kubeconfig(server, tmp_path), SERVERS) == ""

"""Which server a kubeconfig leads to: nothing is believed but a ready API that knows the user."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.modules import api_server

SERVERS = {"server-1": "127.0.0.1", "server-2": "127.0.0.2"}
HANGS = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """One that gives `answer`: status and text."""
    monkeypatch.setattr(api_server, "PATIENCE", (1, 0.2))
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
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    ended.set()
    server.shutdown()
    server.server_close()


def kubeconfig(folder: Path, port: int) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
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
        ((HANGS, ""), ""),
    ],
    ids=["ready", "user unknown", "not ready", "web page", "hangs"],
)
def test_only_a_ready_api_counts(server: ThreadingHTTPServer, tmp_path: Path, answer: tuple[int, str], name: str) -> None:
    server.answer = answer  # type: ignore[attr-defined]
    assert api_server.name(kubeconfig(tmp_path, server.server_port), SERVERS) == name
    assert server.asked == ["/readyz"]  # type: ignore[attr-defined]


def test_one_that_is_no_server_of_the_inventory_is_not_asked(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert api_server.name(kubeconfig(tmp_path, server.server_port), {"server-2": "127.0.0.2"}) == ""
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
    assert api_server.name(kubeconfig(tmp_path, server.server_port), SERVERS) == ""

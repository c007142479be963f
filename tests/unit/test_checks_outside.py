"""What preflight asks outside, of a server on this machine that answers as a mirror, a registry and a hub do."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts, checks_outside

from rackstart.paths import ROOT
from tests.unit.checks_look import good
from tests.unit.tls_server import speak_tls

TREE = [
    {"type": "directory", "path": "original"},
    {"type": "file", "path": "config.json", "size": 100},
    {"type": "file", "path": "model.safetensors", "size": 4000},
]
MODEL = {"name": "llama", "repo": "org/llama", "revision": "0" * 40}
FILE = f"/org/llama/resolve/{'0' * 40}/config.json"
API = f"/api/models/org/llama/tree/{'0' * 40}?recursive=true"


class Answers(BaseHTTPRequestHandler):
    """Answers by the table of its server: path to (status, body), or to the Location of a redirect; notes whom a token was sent to."""

    def do_GET(self) -> None:
        status, body = self.server.table.get(self.path, (404, ""))  # type: ignore[attr-defined]
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("no_proxy", "*")
    answering: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    answering.table, answering.asked, answering.url = {}, [], f"http://127.0.0.1:{answering.server_port}"
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    yield answering
    answering.shutdown()
    answering.server_close()


@pytest.mark.parametrize(("status", "access"), [(200, 200), (302, 200), (401, 401), (403, 403)])
def test_a_models_files_are_counted_and_the_smallest_is_tried(server: Any, status: int, access: int) -> None:
    server.table = {API: (200, json.dumps(TREE)), FILE: (status, "http://127.0.0.1:9/elsewhere")}
    found = checks_outside.sizes(server.url, "secret", [MODEL])
    assert found == {"llama": {"store": 4100, "weights": 4000, "access": access, "config": None}}
    assert server.asked[:2] == [("GET", API, "Bearer secret"), ("HEAD", FILE, "Bearer secret")]


def test_a_models_config_is_read(server: Any) -> None:
    server.table = {API: (200, json.dumps(TREE)), FILE: (200, '{"num_hidden_layers": 2}')}
    assert checks_outside.size(server.url, "", MODEL)["config"] == {"num_hidden_layers": 2}


@pytest.mark.parametrize("other", ["localhost", "127.0.0.1"])
def test_a_token_stays_with_the_hub_when_its_config_lies_elsewhere(server: Any, other: str) -> None:
    server.table = {API: (200, json.dumps(TREE)), FILE: (302, f"http://{other}:{server.server_port}/cache"), "/cache": (200, "{}")}
    assert checks_outside.size(server.url, "secret", MODEL)["config"] == {}
    assert server.asked[-1] == ("GET", "/cache", "Bearer secret" if other == "127.0.0.1" else None)


@pytest.mark.parametrize(
    ("others", "store", "weights"),
    [
        ({"pytorch_model.bin": 4000, "original/consolidated.00.pth": 4000}, 4100, 4000),
        ({"consolidated.safetensors": 3900}, 8000, 4000),
        ({"model-2.safetensors": 1000}, 5100, 5000),
        ({"tokenizer.json": 50}, 4150, 4000),
    ],
)
def test_one_form_of_the_weights_is_counted_and_what_the_store_leaves_out_is_not(
    server: Any, others: dict[str, int], store: int, weights: int
) -> None:
    tree = [*TREE, *({"type": "file", "path": path, "size": size} for path, size in others.items())]
    server.table = {API: (200, json.dumps(tree)), FILE: (200, "")}
    found = checks_outside.size(server.url, "", MODEL)
    assert (found["store"], found["weights"]) == (store, weights)


def test_weights_that_are_no_safetensors_are_counted_once_too(server: Any) -> None:
    files = {"config.json": 100, "pytorch_model-1.bin": 2000, "pytorch_model-2.bin": 1000, "consolidated.00.pth": 2900}
    server.table = {API: (200, json.dumps([{"type": "file", "path": path, "size": size} for path, size in files.items()]))}
    found = checks_outside.size(server.url, "", MODEL)
    assert (found["store"], found["weights"]) == (6000, 3000)


def test_a_hub_that_refuses_keeps_its_status(server: Any) -> None:
    server.table = {API: (401, "")}
    assert checks_outside.size(server.url, "", MODEL)["status"] == 401


def test_a_hub_that_is_not_there_says_why() -> None:
    assert "refused" in checks_outside.size("http://127.0.0.1:9", "", MODEL)["error"]


def test_a_server_is_heard_from_where_it_answers_or_refuses(server: Any) -> None:
    door = {"address": "127.0.0.1", "groups": ["k3s_server"]}
    hosts = {"up": door | {"port": server.server_port}, "down": door | {"port": 9}, "agent": door | {"groups": ["k3s_agent"]}}
    assert checks_outside.doors(hosts | {"away": door | {"address": "server.invalid", "port": 22}}) == {"up": "", "down": "", "away": ANY}
    assert checks_outside.doors({"away": door | {"address": "server.invalid", "port": 22}})["away"]


def test_any_answer_of_the_mirror_will_do(server: Any) -> None:
    assert checks_outside.mirror("") == {"url": "", "error": ""}
    assert checks_outside.mirror(server.url)["error"] == ""
    assert "refused" in checks_outside.mirror("http://127.0.0.1:9")["error"]


DECLARED = {
    "files": {"k3s": {"url": "https://github.com/k3s?raw=1"}},
    "repositories": {"driver": {"url": "https://nvidia.com/repo/", "key": "https://nvidia.com/key"}},
    "images": {"vllm": {"reference": "docker.io/vllm/vllm-openai:v1"}, "other": {"reference": "quay.io/a/b:v2"}},
    "hubs": {"huggingface": {"url": "https://huggingface.co"}},
}
LOCK = {"images": {"vllm": {"digest": "sha256:abc"}}}


def test_each_artifact_has_its_address_at_the_publishers() -> None:
    assert checks_outside.addresses(DECLARED, LOCK, "") == {
        "files.k3s": "https://github.com/k3s?raw=1",
        "repositories.driver": "https://nvidia.com/key",
        "hubs.huggingface": "https://huggingface.co",
        "images.vllm": "https://registry-1.docker.io/v2/",
        "images.other": "https://quay.io/v2/",
    }


def test_each_artifact_has_its_address_on_the_mirror_and_what_is_missing_is_named(server: Any) -> None:
    asked = checks_outside.addresses(DECLARED, LOCK, server.url)
    assert asked["images.vllm"] == f"{server.url}/v2/docker.io/vllm/vllm-openai/manifests/sha256:abc"
    assert asked["images.other"] == f"{server.url}/v2/quay.io/a/b/manifests/v2"
    server.table = {address.removeprefix(server.url): (200, "") for name, address in asked.items() if name != "files.k3s"}
    found = {name.partition(" ")[0]: problem for name, problem in checks_outside.reach(asked).items()}
    assert found == {name: "HTTP 404" if name == "files.k3s" else "" for name in asked}


def test_a_registrys_door_may_ask_for_a_login(server: Any) -> None:
    server.table = {"/v2/": (401, ""), "/v2/a/b/manifests/v1": (401, "")}
    found = checks_outside.reach({"images.door": f"{server.url}/v2/", "images.inside": f"{server.url}/v2/a/b/manifests/v1"})
    assert list(found.values()) == ["", "HTTP 401"]


def test_a_private_authority_is_trusted_once_it_is_named(server: Any, tmp_path: Path) -> None:
    authority, url = speak_tls(server, tmp_path), f"https://127.0.0.1:{server.server_port}"
    server.table = {"/k3s": (200, ""), API: (200, json.dumps(TREE)), FILE: (200, "{}")}

    def problems() -> list[str]:
        missed = checks_outside.size(url, "", MODEL).get("error", "")
        return [checks_outside.mirror(url)["error"], *checks_outside.reach({"files.k3s": f"{url}/k3s"}).values(), missed]

    assert all("name the PEM file of its authority in cluster_ca_certificates" in problem for problem in problems())
    artifacts.trust(checks_outside.TRUSTED, [authority])
    assert problems() == ["", "", ""]


@pytest.mark.parametrize("trusted", [True, False])
def test_preflight_asks_a_mirror_of_a_private_authority(server: Any, tmp_path: Path, trusted: bool) -> None:
    authority, look = speak_tls(server, tmp_path), good()
    (tmp_path / "artifacts.yml").write_text(yaml.safe_dump({"files": {"k3s": {"version": "v1.34.4+k3s1", "url": "https://a.test/k3s"}}}))
    parts = ("hosts", "addresses", "servers", "models", "storage", "driver", "engine", "gateway", "networks", "k3s_config")
    role = {f"preflight_{part}": look[part] for part in parts} | {
        "role": str(ROOT / "roles/preflight"),
        "preflight_artifacts_file": str(tmp_path / "artifacts.yml"),
        "preflight_arguments_file": str(Path(artifacts.__file__).parent / "vllm_0_32_0.json"),
        "preflight_mirror": f"https://127.0.0.1:{server.server_port}",
        "preflight_ca_certificates": [authority] if trusted else [],
        "preflight_path": str(tmp_path / "preflight.json"),
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": [role]}]))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", tmp_path / "play.yml"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    found = json.loads((tmp_path / "preflight.json").read_text())["checks"] if (tmp_path / "preflight.json").exists() else done.stdout
    assert [entry["ok"] for entry in found if entry["id"] == "artifacts.mirror"] == [trusted]

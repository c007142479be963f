"""A request to the cluster's API misbehaves once: the module that makes it fails with the reason, or asks again; a rerun succeeds."""

import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.modules import apply, node_labels, nodes_ready

from tests.faults.cluster import Api

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm"}}
MODULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "node_labels": (node_labels, {"nodes": {"gpu-1": {"labels": {"gpu": "true"}, "taints": []}}}),
    "apply": (apply, {"definitions": [NAMESPACE]}),
    "nodes_ready": (nodes_ready, {"nodes": ["gpu-1"], "timeout": 5}),
}
ASKED_AGAIN = ""
CASES = [
    ("node_labels", "GET /api/v1/nodes", "fails", "HTTP 500: etcdserver: request timed out"),
    ("node_labels", "GET /api/v1/nodes", "hangs", ASKED_AGAIN),
    ("node_labels", "GET /api/v1/nodes", "lies", "is not one of the cluster's API"),
    ("node_labels", "PATCH /api/v1/nodes/gpu-1", "fails", "HTTP 500: etcdserver: request timed out"),
    ("node_labels", "PATCH /api/v1/nodes/gpu-1", "hangs", "timed out"),
    ("node_labels", "GET /api", "hangs", ASKED_AGAIN),
    ("node_labels", "GET /api", "fails", "HTTP 500: etcdserver: request timed out"),
    ("node_labels", "GET /api", "lies", "is not one of the cluster's API"),
    ("apply", "GET /api/v1/namespaces/llm", "fails", "HTTP 500: etcdserver: request timed out"),
    ("apply", "GET /api/v1/namespaces/llm", "hangs", ASKED_AGAIN),
    ("apply", "GET /api/v1/namespaces/llm", "lies", "is not one of the cluster's API"),
    ("apply", "PATCH /api/v1/namespaces/llm", "fails", "HTTP 500: etcdserver: request timed out"),
    ("apply", "PATCH /api/v1/namespaces/llm", "hangs", "timed out"),
    ("apply", "PATCH /api/v1/namespaces/llm", "lies", "is not one of the cluster's API"),
    ("nodes_ready", "GET /api/v1/nodes", "fails", ASKED_AGAIN),
    ("nodes_ready", "GET /api/v1/nodes", "hangs", ASKED_AGAIN),
    ("nodes_ready", "GET /api/v1/nodes", "lies", ASKED_AGAIN),
]


def run(name: str, server: Api, home: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    module, arguments = MODULES[name]
    connection = {"host": f"http://127.0.0.1:{server.server_port}", "api_key": "none", "persist_config": False}
    with patch_module_args(arguments | connection | {"_ansible_tmpdir": home}), pytest.raises(SystemExit):
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize(("name", "at", "fault", "says"), CASES)
def test_a_fault(
    name: str,
    at: str,
    fault: str,
    says: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record_property: Any,
) -> None:
    said = [f"module {name}", at, fault, "did not come out as it should"]
    record_property("fault", said)
    monkeypatch.setattr(api, "REQUEST_SECONDS", (1, 1))
    server = Api(at, fault)
    try:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        first = run(name, server, str(tmp_path), capsys)
        assert server.met, first
        assert bool(first.get("failed")) == bool(says), first
        assert says in first.get("msg", "")
        if says:
            assert "run again" in first["msg"]
            second = run(name, server, str(tmp_path), capsys)
            assert not second.get("failed"), second
        said[3] = first.get("msg") or "got over in the same run"
    finally:
        server.close()

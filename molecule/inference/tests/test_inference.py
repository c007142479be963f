"""Role inference: what the API holds after it; replicas that answer are shown by tests/lab."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


@pytest.fixture
def get(host: Host, as_root: Run) -> Callable[[str], dict[str, Any]]:
    def read(what: str) -> dict[str, Any]:
        code, text = as_root(host, f"k3s kubectl --namespace=llm get {what} --output=json")
        assert code == 0, text
        return dict(json.loads(text))

    return read


def test_the_service_leads_to_the_engine(get: Callable[[str], dict[str, Any]]) -> None:
    service = get("service/tiny")["spec"]
    assert [(port["port"], port["targetPort"], port["nodePort"]) for port in service["ports"]] == [(80, "http", 30080)]
    labels = get("deployment/tiny")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_the_engine_may_do_little(get: Callable[[str], dict[str, Any]]) -> None:
    pod = get("deployment/tiny")["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    assert engine["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert engine["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsUser"] == 2000
    assert pod["automountServiceAccountToken"] is False
    assert engine["resources"]["limits"] == {"memory": "9Gi", "nvidia.com/gpu": "1"}
    assert "@sha256:" in engine["image"]


def test_the_image_is_on_the_node_before_a_replica_needs_it(get: Callable[[str], dict[str, Any]]) -> None:
    status = get("daemonset/prepull-engine")["status"]
    assert status["numberReady"] == status["desiredNumberScheduled"] == 1


def test_an_image_that_cannot_be_pulled_is_missed(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(inference_image=f"docker.io/vllm/none@sha256:{64 * '0'}", inference_pull_timeout=5)
    try:
        assert code != 0
        assert "DaemonSet prepull-engine" in said.partition("fatal:")[2]
    finally:
        assert converge()[0] == 0

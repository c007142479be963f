"""Role monitoring: what watches the cluster may do little; that it reads all and has every rule is what the role itself proves."""

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("name", ["prometheus", "checks"])
def test_it_may_do_little(get: Callable[[str], dict[str, Any]], name: str) -> None:
    pod = get(f"deployment/{name}")["spec"]["template"]["spec"]
    for container in pod["containers"]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "@sha256:" in container["image"]
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_it_reads_and_changes_nothing(get: Callable[[str], dict[str, Any]]) -> None:
    roles = [role for role in get("clusterroles,roles --all-namespaces")["items"] if "rackstart" in str(role["metadata"].get("labels"))]
    assert roles
    assert {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]} <= {"get", "list", "watch"}


@pytest.fixture
def mute(host: Host, get: Callable[[str], dict[str, Any]], as_root: Callable[..., tuple[int, str]]) -> Iterator[str]:
    """A pod that says by its labels and port that it has metrics, and answers nobody."""
    template = get("deployment/checks")["spec"]["template"]["spec"]
    [checks] = template["containers"]
    container = {key: checks[key] for key in ("image", "ports", "securityContext")} | {"name": "mute", "command": ["sleep", "600"]}
    spec = {"securityContext": template["securityContext"], "terminationGracePeriodSeconds": 0, "containers": [container]}
    labels = {"app.kubernetes.io/component": "checks"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mute", "namespace": "llm", "labels": labels}, "spec": spec}
    code, said = as_root(host, f"echo {shlex.quote(json.dumps(pod))} | k3s kubectl apply -f -")
    assert code == 0, said
    code, said = as_root(host, "k3s kubectl --namespace llm wait --for=condition=Ready --timeout=60s pod/mute")
    assert code == 0, said
    yield "mute"
    as_root(host, "k3s kubectl --namespace llm delete pod mute")


def test_a_target_that_is_not_read_is_named(mute: str, converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(monitoring_timeout=5)
    assert code != 0
    assert mute in said.partition("Prometheus does not read everything:")[2]

"""Role monitoring: what watches the cluster may do little; that it reads all and has every rule is what the role itself proves."""

from collections.abc import Callable
from typing import Any

import pytest


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


def test_a_target_that_is_not_read_is_missed(converge: Callable[..., tuple[int, str]]) -> None:
    code, said = converge(monitoring_image=f"docker.io/prom/none@sha256:{64 * '0'}", monitoring_timeout=5)
    try:
        assert code != 0
        assert "Deployment prometheus" in said.partition("fatal:")[2]
    finally:
        assert converge()[0] == 0

"""A GPU host that died and is out of service: the rest of the rack goes on, and has it back by a run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes
from kubernetes.client import CoreV1Api

from lab import hosts
from tests.lab.drive import Finished, api, edit, until
from tests.lab.test_run_update import replicas

pytestmark = pytest.mark.lab

DEAD = "gpu-2"


def ready(name: str) -> bool:
    return not nodes.not_ready(CoreV1Api(api()).read_node(name, _preload_content=False).json())


def given_up() -> set[str]:
    """Nodes with the taint of those that were shut down."""
    found = CoreV1Api(api()).list_node().items
    return {node.metadata.name for node in found for taint in node.spec.taints or [] if taint.key == nodes.SHUT_DOWN["key"]}


@pytest.mark.chaos  # for its length
def test_a_dead_gpu_host_out_of_service_holds_up_no_stage(cluster: str, bootstrap: Callable[..., Finished], inventory: Path) -> None:
    hosts.kill(DEAD)
    try:
        until(lambda: not ready(DEAD), f"{DEAD} is not Ready", 180)
        edit(inventory / "hosts.yml", lambda content: content["all"]["children"].update(out_of_service={"hosts": {DEAD: None}}))
        without = bootstrap("--inventory", str(inventory), "--json")
        assert without.code == 0, without
        assert without.json["verdict"]["green"]
        assert given_up() == {DEAD}
        assert set(replicas().values()) == {"gpu-1"}
        again = bootstrap("--inventory", str(inventory), "--json")
        assert again.changes == set(), again
    finally:
        hosts.start(DEAD)
    back = bootstrap("--inventory", "lab", "--json")
    assert back.code == 0, back
    assert back.json["verdict"]["green"]
    assert given_up() == set()

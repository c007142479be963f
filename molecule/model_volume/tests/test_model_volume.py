"""Role model_volume: what a pod sees of the weights."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]
KUBECTL = "k3s kubectl --namespace=llm"


@pytest.fixture
def volume(host: Host, as_root: Run) -> dict[str, Any]:
    """The one volume of the weights."""
    code, text = as_root(host, f"{KUBECTL} get pv --selector=app.kubernetes.io/component=weights --output=json")
    assert code == 0, text
    (found,) = json.loads(text)["items"]
    return dict(found)


def test_the_volume_is_read_only_for_many_and_kept(volume: dict[str, Any]) -> None:
    assert volume["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert volume["spec"]["nfs"]["readOnly"] is True
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["status"]["phase"] == "Bound"


def test_a_pod_on_the_gpu_node_reads_and_cannot_write(host: Host, as_root: Run, volume: dict[str, Any]) -> None:
    inside = f"{KUBECTL} exec daemonset/{volume['metadata']['name']} --"
    assert as_root(host, f"{inside} cat /model/MANIFEST.sha256") == (0, "a manifest")
    code, text = as_root(host, f"{inside} touch /model/new")
    assert code != 0
    assert "Read-only file system" in text


def test_weights_that_cannot_be_mounted_are_missed(converge: Callable[..., tuple[int, str]]) -> None:
    gone = {"name": "gone", "repo": "org/gone", "revision": 40 * "f", "node_selector": {}, "gpus_per_replica": 1}
    code, said = converge(model_volume_models=[gone], model_volume_timeout=5)
    assert code != 0
    assert "DaemonSet" in said.partition("fatal:")[2]

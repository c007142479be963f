"""What shows only on the way ends a run with exit 1 and the reason, leaves nothing half-done, and is mended by a plain rerun."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes.client import AppsV1Api, CoreV1Api

from tests.lab.drive import MODEL, Finished, api, edit, on, until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("cluster")]

Bootstrap = Callable[..., Finished]


def here(_host: str, command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout


# Entry of the lock -> the stage that fetches it, and where what it fetches may lie.
FETCHED = {
    ("files", "k3s"): ("control_plane", on, "/usr/local/bin /root/.ansible /home/rack/.ansible"),
    ("charts", "gpu_operator"): ("gpu_operator", here, "~/.cache/rackstart/charts ~/.ansible/tmp"),
}


@pytest.mark.parametrize(("kind", "name"), FETCHED)
def test_a_wrong_checksum(bootstrap: Bootstrap, inventory: Path, kind: str, name: str) -> None:
    stage, run, places = FETCHED[kind, name]
    files = f"find {places} -type f -printf '%p %s %T@\\n' | sort"
    before, wrong, right = run("server-1", files), "0123456789abcdef" * 4, ""

    def falsify(lock: dict[str, dict[str, dict[str, str]]]) -> None:
        nonlocal right
        right, lock[kind][name]["sha256"] = lock[kind][name]["sha256"], wrong

    edit(inventory / "artifacts.lock.yml", falsify)
    refused = bootstrap("--inventory", str(inventory), "--only", stage, "--json")
    assert refused.code == 1, refused
    assert wrong in refused.reasons
    assert right in refused.reasons
    assert refused.changes == set()
    assert run("server-1", files) == before


STORE = "/srv/other-models"  # of its own, so that there is something to fetch
HUB = {
    "401": ["HTTP 401", "a token is needed; set hub_token"],
    "429": ["HTTP 429", "gave up", "exceed the budget of 2 s"],
    "503": ["HTTP 503", "gave up", "exceed the budget of 2 s"],
    "corrupt": [".safetensors has sha256 ", ", the hub lists ", "deleted it, run again"],
}


@pytest.fixture
def store() -> Iterator[str]:
    yield STORE
    on("server-1", f"rm -r {STORE}")


def test_a_hub_that_misbehaves(bootstrap: Bootstrap, inventory: Path, store: str) -> None:
    budgets = {"model_store_path": store, "model_store_retry_seconds": 2}
    publish = ("--inventory", str(inventory), "--only", "models", "--json", "-e", json.dumps(budgets))
    revision = f"{MODEL['repo']}/{MODEL['revision']}"
    try:
        for fault, words in HUB.items():
            assert bootstrap("lab", "fault", "hub", fault).code == 0
            failed = bootstrap(*publish)
            assert failed.code == 1, (fault, failed)
            assert [word for word in words if word not in failed.reasons] == [], (fault, failed.reasons)
            assert on("server-1", f"ls -A {store}").split() == [".staging"], fault
        assert on("server-1", f"find {store}/.staging -name '*.safetensors*'") == ""  # of the fault that came last
    finally:
        assert bootstrap("lab", "fault", "hub", "none").code == 0
    mended = bootstrap(*publish)
    assert mended.code == 0, mended
    assert on("server-1", f"cd {store}/{revision} && sha256sum --check --quiet MANIFEST.sha256 && ls") != ""
    assert on("server-1", f"find {store}/.staging -type f ! -name .lock") == ""


def test_an_nfs_server_that_stalls(bootstrap: Bootstrap, inventory: Path) -> None:
    weights = "app.kubernetes.io/component=weights"
    AppsV1Api(api()).delete_collection_namespaced_daemon_set("llm", label_selector=weights)
    until(lambda: not CoreV1Api(api()).list_namespaced_pod("llm", label_selector=weights).items, "nothing has the weights mounted to check")
    on("server-1", "systemctl kill --signal STOP nfs-ganesha")
    try:
        stalled = bootstrap("--inventory", str(inventory), "--only", "volumes", "-e", "model_volume_timeout=5", "--json")
        silent = bootstrap("--inventory", str(inventory), "--only", "storage", "-e", "nfs_server_timeout=8", "--json")
    finally:
        on("server-1", "systemctl kill --signal CONT nfs-ganesha")
    assert silent.code == 1, silent
    assert "The NFS server on server-1 does not export /srv/models: it does not answer." in silent.reasons
    assert stalled.code == 1, stalled
    for words in ("on gpu-1", "on gpu-2", "not mounted yet", f"10.77.0.11:/srv/models/{MODEL['repo']}/{MODEL['revision']}"):
        assert words in stalled.reasons
    mended = bootstrap("--inventory", str(inventory), "--only", "volumes", "--only", "verify")
    assert mended.code == 0, mended


@pytest.mark.serving  # for its length
def test_monitoring_waits_for_no_store(bootstrap: Bootstrap, inventory: Path) -> None:
    """The pod of checks stays ready on a store that hangs, and can be killed there; one that cannot mount is told by the store's name."""
    checks, monitoring = "app.kubernetes.io/component=checks", ("--inventory", str(inventory), "--only", "monitoring", "--json")

    def pods() -> set[str]:
        found = CoreV1Api(api()).list_namespaced_pod("llm", label_selector=checks).items
        return {pod.metadata.name for pod in found if not pod.metadata.deletion_timestamp}

    def ended(name: str) -> bool:
        """The kubelet lets a pod go only once its volume is, which no client of NFS gives back while the server hangs."""
        there = [pod for pod in CoreV1Api(api()).list_namespaced_pod("llm").items if pod.metadata.name == name]
        return all(status.state.terminated for pod in there for status in pod.status.container_statuses)

    [before] = pods()
    on("server-1", "systemctl kill --signal STOP nfs-ganesha")
    try:
        watched = bootstrap(*monitoring)
        CoreV1Api(api()).delete_namespaced_pod(before, "llm")
        until(lambda: ended(before), f"the container of {before} has ended")
        [second] = pods()
        stalled = bootstrap(*monitoring)
        [third] = pods()
    finally:
        on("server-1", "systemctl kill --signal CONT nfs-ganesha")
    assert (watched.code, watched.changes) == (0, set()), watched
    assert stalled.code == 1, stalled
    for words in ("A volume is not mounted after 180 s.", f"10.77.0.11:/srv/models/{MODEL['repo']}/{MODEL['revision']}"):
        assert words in stalled.reasons
    assert third != second, "a pod that hangs since before is replaced"
    mended = bootstrap("--inventory", str(inventory), "--only", "monitoring", "--only", "verify")
    assert mended.code == 0, mended

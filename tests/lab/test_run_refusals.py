"""Bad input is met before anything is touched: exit 2 for what can be read off the files, 3 for what preflight finds on the hosts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.drive import Finished, edit, on

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("cluster")]

Bootstrap = Callable[..., Finished]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nowhere", "there is no inventory 'nowhere'; known: lab, site"), ("site", "hosts.yml:8: ansible_user is still REPLACE_ME")],
)
def test_an_inventory_that_is_none(bootstrap: Bootstrap, state: str, name: str, complaint: str) -> None:
    refused = bootstrap("--inventory", name, XDG_STATE_HOME=state)
    assert refused.code == 2, refused
    assert complaint in refused.err
    assert list(Path(state).rglob("journal.jsonl")) == []


def second_server(group: dict[str, Any]) -> None:
    group["k3s_server"]["hosts"]["gpu-1"] = group["k3s_agent"]["hosts"].pop("gpu-1")


def twins(group: dict[str, Any]) -> None:
    group["k3s_agent"]["hosts"]["gpu-2"]["ansible_host"] = group["k3s_agent"]["hosts"]["gpu-1"]["ansible_host"]


def no_node_for_others(group: dict[str, Any]) -> None:
    group["gpu"]["hosts"]["server-1"] = {"gpu_count": 0, "gpu_memory_mib": 40960}


def missing_host(group: dict[str, Any]) -> None:
    group["k3s_agent"]["hosts"]["gpu-2"]["ansible_host"] = "10.77.0.250"


def missing_gpu(group: dict[str, Any]) -> None:
    group["gpu"]["hosts"]["gpu-2"]["gpu_count"] = 3


def small_gpus(group: dict[str, Any]) -> None:
    for host in group["gpu"]["hosts"].values():
        host["gpu_memory_mib"] = 2048


def no_sudo(group: dict[str, Any]) -> None:
    group["k3s_server"]["hosts"]["server-1"]["ansible_become_password"] = "not the password"


HOSTS = "hosts.yml"
CASES: dict[str, tuple[str, Callable[[dict[str, Any]], Any], set[tuple[str, str]]]] = {
    "even number of servers": (HOSTS, second_server, {("groups.servers", "inventory")}),
    "one host twice": (
        HOSTS,
        twins,
        {(f"host.{what}", host) for what in ("machine_id", "address", "hostname") for host in ("gpu-1", "gpu-2")},
    ),
    "no node without taint": (HOSTS, no_node_for_others, {("groups.schedulable", "inventory")}),
    "unreachable host": (HOSTS, missing_host, {("host.reachable", "gpu-2")}),
    "no sudo": (HOSTS, no_sudo, {("host.reachable", "server-1")}),
    "fewer GPUs than declared": (HOSTS, missing_gpu, {("gpu.count", "gpu-2")}),
    "GPUs too small": (HOSTS, small_gpus, {("model.memory", "models/tiny")}),
}
MODELS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "branch for a revision": ({"revision": "main"}, {"model.revision"}),
    "unknown engine argument": ({"extra_args": ["--enforce-eagre"]}, {"model.arguments"}),
    "more replicas than GPUs": ({"replicas": 5}, {"model.gpus"}),
    "name that breaks the engine": ({"name": "vllm"}, {"model.name"}),
}


def refusal(bootstrap: Bootstrap, inventory: Path, state: str) -> set[tuple[str, str]]:
    """Run, and see it refused before any stage but preflight began; the red checks, by id and target."""
    refused = bootstrap("--inventory", str(inventory), "--json", XDG_STATE_HOME=state)
    assert refused.code == 3, refused
    assert {stage["stage"] for stage in refused.json["stages"] if stage["state"] in ("passed", "failed")} == {"preflight"}
    assert refused.changes == set()
    red = [check for check in refused.json["preflight"] if check["ok"] is False]
    assert all(check["remedy"] for check in red)
    return {(check["id"], check["target"]) for check in red if check["severity"] == "required"}


@pytest.mark.parametrize("case", CASES)
def test_hosts_that_are_not_as_declared(bootstrap: Bootstrap, inventory: Path, state: str, case: str) -> None:
    file, change, red = CASES[case]
    edit(inventory / file, lambda content: change(content["all"]["children"]))
    assert refusal(bootstrap, inventory, state) == red


@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_served(bootstrap: Bootstrap, inventory: Path, state: str, case: str) -> None:
    change, red = MODELS[case]
    edit(inventory / "group_vars/all/models.yml", lambda content: content["models"][0].update(change))
    assert {id for id, _ in refusal(bootstrap, inventory, state)} == red


def test_an_artifact_without_a_lock(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    edit(inventory / "artifacts.lock.yml", lambda content: content["files"].pop("k3s"))
    assert refusal(bootstrap, inventory, state) == {("artifacts.locked", "inventory")}


def test_a_disk_too_small(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    (inventory / "group_vars/all/preflight.yml").write_text("preflight_min_free_mib: {/var/lib: 1000000000}\n")
    assert refusal(bootstrap, inventory, state) == {("disk.free", host) for host in ("server-1", "gpu-1", "gpu-2")}


def test_a_waiver_without_a_date(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    (inventory / "group_vars/all/preflight.yml").write_text("preflight_waivers: {os.swap: tried by hand}\n")
    assert refusal(bootstrap, inventory, state) == {("waivers.form", "os.swap")}


@pytest.mark.parametrize(
    ("clone", "restore", "check"),
    [
        ("cp /etc/machine-id /run/own-id; echo {machine_id} >/etc/machine-id", "cat /run/own-id >/etc/machine-id", "host.machine_id"),
        ("hostname gpu-1", "hostname gpu-2", "host.hostname"),
    ],
    ids=["machine-id", "name"],
)
def test_a_clone(bootstrap: Bootstrap, inventory: Path, state: str, clone: str, restore: str, check: str) -> None:
    on("gpu-2", clone.format(machine_id=on("gpu-1", "cat /etc/machine-id").strip()))
    try:
        assert refusal(bootstrap, inventory, state) == {(check, "gpu-1"), (check, "gpu-2")}
    finally:
        on("gpu-2", restore)


def test_a_store_too_small_for_the_models(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    store = "/srv/small"
    edit(inventory / "group_vars/all/storage.yml", lambda content: content.update(storage_path=store))
    on("server-1", f"mkdir {store}; mount -t tmpfs -o size=64m tmpfs {store}")
    try:
        assert refusal(bootstrap, inventory, state) == {("store.space", "server-1")}
    finally:
        on("server-1", f"umount {store}; rmdir {store}")

"""Bad input is met before anything is touched: exit 2 for what can be read off the files, 3 for what preflight finds on the hosts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.drive import Finished, edit, on

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("cluster")]

Bootstrap = Callable[..., Finished]
Fault = tuple[str, Callable[[dict[str, Any]], Any]]  # a file of the inventory, and what is wrong in it
Red = set[tuple[str, str]]  # checks by id and target


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nowhere", "there is no inventory 'nowhere'; known: lab, site"), ("site", "hosts.yml:9: ansible_user is still REPLACE_ME")],
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


def models_of_all_kinds(content: dict[str, Any]) -> None:
    """For each fault that a model can have one that has it."""
    model = content["models"][0] | {"replicas": 1}
    content["models"] = [model | {"name": name, "served_name": name} | change for name, (change, _) in MODELS.items()]


def in_groups(change: Callable[[dict[str, Any]], Any]) -> Fault:
    return "hosts.yml", lambda content: change(content["all"]["children"])


def setting(name: str, value: Any) -> Fault:
    return "group_vars/all/preflight.yml", lambda content: content.update({name: value})


MODELS: dict[str, tuple[dict[str, Any], str]] = {  # name -> what is wrong with the model, and the check that says so
    "branch": ({"revision": "main"}, "model.revision"),
    "misspelt": ({"extra_args": ["--enforce-eagre"]}, "model.arguments"),
    "many": ({"replicas": 5}, "model.gpus"),
    "vllm": ({}, "model.name"),  # which breaks the engine
}
FAULTS: dict[str, tuple[Fault, Red]] = {
    "even number of servers": (in_groups(second_server), {("groups.servers", "inventory"), ("k3s.part", "gpu-1")}),
    "no node without taint": (in_groups(no_node_for_others), {("groups.schedulable", "inventory")}),
    "one host twice": (
        in_groups(twins),
        {(f"host.{what}", host) for what in ("machine_id", "address", "hostname") for host in ("gpu-1", "gpu-2")},
    ),
    "unreachable host": (in_groups(missing_host), {("host.reachable", "gpu-2")}),
    "no sudo": (in_groups(no_sudo), {("host.reachable", "server-1")}),
    "fewer GPUs than declared": (in_groups(missing_gpu), {("gpu.count", "gpu-2")}),
    "GPUs too small": (in_groups(small_gpus), {("model.memory", "models/tiny")}),
    "artifact without a lock": (("artifacts.lock.yml", lambda lock: lock["files"].pop("k3s")), {("artifacts.locked", "inventory")}),
    "disk too small": (
        setting("preflight_min_free_mib", {"/var/lib": 1000000000}),
        {("disk.free", host) for host in ("server-1", "gpu-1", "gpu-2")},
    ),
    "waiver without a date": (setting("preflight_waivers", {"os.swap": "tried by hand"}), {("waivers.form", "os.swap")}),
    "models": (
        ("group_vars/all/models.yml", models_of_all_kinds),
        {(check, f"models/{name}") for name, (_, check) in MODELS.items()} | {("model.gpus", "models/*")},
    ),
}
RUNS = [  # faults that do not hide each other are met in one run
    ("even number of servers", "no node without taint"),
    ("one host twice",),
    ("unreachable host", "no sudo"),
    ("fewer GPUs than declared", "GPUs too small", "artifact without a lock", "disk too small", "waiver without a date"),
    ("models",),
]


def refusal(bootstrap: Bootstrap, inventory: Path, state: str) -> Red:
    """Run, and see it refused before any stage but preflight began; the red checks, by id and target."""
    refused = bootstrap("--inventory", str(inventory), "--json", XDG_STATE_HOME=state)
    assert refused.code == 3, refused
    assert {stage["stage"] for stage in refused.json["stages"] if stage["state"] in ("passed", "failed")} == {"preflight"}
    assert refused.changes == set()
    red = [check for check in refused.json["preflight"] if check["ok"] is False]
    assert all(check["remedy"] for check in red)
    return {(check["id"], check["target"]) for check in red if check["severity"] == "required"}


@pytest.mark.parametrize("faults", RUNS, ids=", ".join)
def test_an_inventory_with_faults(bootstrap: Bootstrap, inventory: Path, state: str, faults: tuple[str, ...]) -> None:
    red: Red = set()
    for (file, change), found in map(FAULTS.__getitem__, faults):
        (inventory / file).touch()
        edit(inventory / file, change)
        red |= found
    assert refusal(bootstrap, inventory, state) == red


def test_a_clone(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    on("gpu-2", f"cp /etc/machine-id /run/own-id; echo {on('gpu-1', 'cat /etc/machine-id').strip()} >/etc/machine-id; hostname gpu-1")
    try:
        twice = {(f"host.{what}", host) for what in ("machine_id", "hostname") for host in ("gpu-1", "gpu-2")}
        assert refusal(bootstrap, inventory, state) == twice
    finally:
        on("gpu-2", "cat /run/own-id >/etc/machine-id; hostname gpu-2")


def test_a_store_too_small_for_the_models(bootstrap: Bootstrap, inventory: Path, state: str) -> None:
    store = "/srv/small"
    edit(inventory / "group_vars/all/storage.yml", lambda content: content.update(storage_path=store))
    on("server-1", f"mkdir {store}; mount -t tmpfs -o size=64m tmpfs {store}")
    try:
        assert refusal(bootstrap, inventory, state) == {("store.space", "server-1")}
    finally:
        on("server-1", f"umount {store}; rmdir {store}")

"""How long `doctor` takes for a few hosts and for more of them; by these two, what it would take for a rack."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.lab.drive import INVENTORY, ROOT

SIZES = (4, 24)  # hosts
GPUS = ["A100-40", "A100-40"]  # of every host but the first, which is server and storage host
Doctor = Callable[..., float]


def seconds(bootstrap: Doctor) -> dict[int, float]:
    """Seconds of the command by the number of hosts, which are as new; bootstrap(ARGUMENT..., **ENVIRONMENT) runs it."""
    names = [f"bench-{number}" for number in range(1, max(SIZES) + 1)]
    addresses = {name: f"10.77.0.{100 + place}" for place, name in enumerate(names)}
    with _hosts(addresses), tempfile.TemporaryDirectory() as folder:
        taken = {}
        for size in SIZES:
            chosen = {name: addresses[name] for name in names[:size]}
            taken[size] = bootstrap("--inventory", str(_inventory(Path(folder) / f"{size}", chosen)), "doctor", XDG_STATE_HOME=folder)
        return taken


@contextmanager
def _hosts(addresses: dict[str, str]) -> Iterator[None]:
    topology = {name: {"address": address, "gpus": GPUS if place else []} for place, (name, address) in enumerate(addresses.items())}
    command = [sys.executable, "-m", "lab"]
    try:
        subprocess.run(
            [*command, "up", "--topology", "/dev/stdin"], input=yaml.safe_dump({"hosts": topology}), text=True, cwd=ROOT, check=True
        )
        yield
    finally:
        subprocess.run([*command, "down", *addresses], cwd=ROOT, check=True)


def _inventory(folder: Path, addresses: dict[str, str]) -> Path:
    """A copy of the lab's, with these hosts."""
    shutil.copytree(INVENTORY, folder, ignore=shutil.ignore_patterns("hooks"))
    hosts: dict[str, Any] = yaml.safe_load((folder / "hosts.yml").read_text())
    groups = hosts["all"]["children"]
    (server, *agents), gpu = addresses, groups["gpu"]["hosts"]["gpu-1"]
    groups |= {  # each has its own copy, since the inventory's reader refuses aliases
        "k3s_server": {"hosts": {server: {"ansible_host": addresses[server]}}},
        "k3s_agent": {"hosts": {name: {"ansible_host": addresses[name]} for name in agents}},
        "gpu": {"hosts": {name: dict(gpu) for name in agents}},
        "storage": {"hosts": {server: {}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False))
    return folder

"""Role host"""

import pytest
import yaml

from lab.paths import REPO
from tests.vm.machines import ADDRESSES, Play, ask, root

DEFAULTS = yaml.safe_load((REPO / "roles/host/defaults/main.yml").read_text())


def test_check_mode(stages: list[Play]) -> None:
    """On fresh hosts, `--check` foretells whatever a run of stages host and storage then changes, task by task"""
    foretold, done = stages[0].changed, stages[1].changed
    assert {place.split("/")[1] for place, _, _ in done} == {"host", "nfs_client", "nfs_server"}
    assert done - foretold == set()


def test_repeated(stages: list[Play]) -> None:
    """A second run changes nothing"""
    assert stages[2].changed == set()


def test_swap(fresh: dict[str, str], stages: list[Play]) -> None:
    """Swap that fstab declares is turned off"""
    for name in ADDRESSES:
        assert "/dev/vdb" in fresh[name]
        assert "/dev/vdb" in ask(name, "cat /etc/fstab")
        assert ask(name, "cat /proc/swaps").count("\n") == 0


def test_swap_off_by_hand(stages: list[Play]) -> None:
    """Swap that `swapoff` has turned off already, and fstab would bring back at the next boot, is masked too"""
    swap = {(name.rpartition(" : ")[2], host) for place, name, host in stages[1].changed if place.startswith("roles/host/tasks/swap.yml")}
    assert swap == {("Stop swap", "server"), *(("Keep swap from coming back", host) for host in ADDRESSES)}
    assert ask("client", "systemctl is-enabled dev-vdb.swap || true") == "masked"


@pytest.mark.parametrize("module", DEFAULTS["host_kernel_modules"])
def test_modules(fresh: dict[str, str], stages: list[Play], module: str) -> None:
    """Kernel modules overlay and br_netfilter are loaded: `lsmod` shows them, and did not before"""
    for name in ADDRESSES:
        assert f"\n{module} " not in fresh[name]
        assert f"\n{module} " in ask(name, "lsmod")


def test_settings(fresh: dict[str, str], stages: list[Play]) -> None:
    """Every kernel setting of `host_sysctl` is live, those of `vm.*`, `fs.*` and `kernel.*` too"""
    wanted = {key: str(value) for key, value in DEFAULTS["host_sysctl"].items()}
    for name in ADDRESSES:
        assert dict(line.split(" = ") for line in ask(name, f"sysctl {' '.join(wanted)}").splitlines()) == wanted
        assert "vm.overcommit_memory = 0\nfs.inotify.max_user_instances = 128" in fresh[name]


@pytest.mark.parametrize(("port", "outcome"), [(22, "open"), (2049, "open"), (6443, "refused"), (8080, "no answer")])
def test_firewall(stages: list[Play], port: int, outcome: str) -> None:
    """The firewall lets the client through to ssh, the API and NFS of the server, and to nothing else"""
    code, words = root("client", f"timeout 10 bash -c '</dev/tcp/{ADDRESSES['server']}/{port}'")
    seen = "no answer" if code == 124 else "refused" if "Connection refused" in words else "open" if code == 0 else words
    assert seen == outcome

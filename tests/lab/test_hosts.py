"""The lab's hosts: what they are, and that no crash leaves them in the way. The last test takes the whole lab of this machine down."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import cgroups, machine, paths
from lab.host import Host
from lab.hosts import ssh_command
from lab.processes import identity

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="hosts need root")]

NAME, ADDRESS = "mol-test", "10.77.0.49"
REPO = paths.REPO
CAP_SYS_MODULE, CAP_SYS_TIME = 16, 25


def lab(*arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *arguments]
    return subprocess.run(command, cwd=REPO, input=stdin, capture_output=True, text=True, check=check, timeout=300)


def ssh(command: str) -> str:
    return lab("ssh", NAME, command).stdout.strip()


def sudo(command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return lab("ssh", NAME, f"sudo --stdin --prompt= {command}", stdin=paths.BECOME_PASSWORD.read_text() + "\n", check=check)


@pytest.fixture
def host() -> Iterator[Host]:
    lab("host", "up", NAME, ADDRESS)
    yield Host.load(NAME)
    lab("host", "down", NAME)


def test_passes_for_a_host(host: Host) -> None:
    assert ssh("hostname; . /etc/os-release; echo $VERSION_ID").split() == [NAME, "12"]
    assert sudo("mkdir /sys/fs/cgroup/pids/probe").returncode == 0
    assert sudo("findmnt --noheadings --output FSTYPE /srv").stdout.strip() in {"ext4", "xfs"}
    assert ssh("findmnt --noheadings --output PROPAGATION /") == "shared"
    assert ssh("ls /sys/bus/pci/devices") == "0000:00:00.0"  # the machine's own devices are out of sight
    assert sudo("sysctl --write net.ipv4.ip_forward=1").returncode == 0


def test_keeps_to_itself(host: Host) -> None:
    as_root = [*ssh_command(host)[:-1], f"root@{host.address}", "true"]
    assert subprocess.run(as_root, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 255
    assert sudo("sysctl --write vm.swappiness=1", check=False).returncode != 0
    bounds = int(sudo("grep CapBnd /proc/1/status").stdout.split()[1], 16)
    assert bounds & (1 << CAP_SYS_MODULE | 1 << CAP_SYS_TIME) == 0
    assert paths.BECOME_PASSWORD.stat().st_mode & 0o077 == 0
    assert paths.IDENTITY.stat().st_mode & 0o077 == 0


def test_disks_survive_a_power_loss_and_no_installation(host: Host) -> None:
    sudo("touch /srv/kept /etc/kept")
    ssh("sync")
    lab("host", "kill", NAME)
    assert cgroups.processes(NAME) == set()
    lab("host", "start", NAME)
    assert ssh("ls /etc/kept /srv/kept").split() == ["/etc/kept", "/srv/kept"]
    lab("host", "wipe", NAME)
    assert ssh("ls /srv /etc/kept 2>/dev/null || true") == "/srv:"


def test_reboots(host: Host) -> None:
    before = ssh("cat /proc/sys/kernel/random/boot_id")
    sudo("systemctl reboot", check=False)
    for _ in range(60):
        after = lab("ssh", NAME, "cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip()
        if after and after != before:
            return
    pytest.fail(f"{NAME} did not come back: {host.console.read_text()[-1000:]}")


def supervisor(host: Host) -> int:
    return int(host.pid_file.read_text().split()[0])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def nspawn(host: Host) -> int:
    return children(supervisor(host))[0]


def init(host: Host) -> int:
    return next(pid for pid in children(nspawn(host)) if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd")


@pytest.mark.parametrize("victim", [supervisor, nspawn, init])
def test_comes_up_after_part_of_it_was_killed(host: Host, victim: Callable[[Host], int]) -> None:
    os.kill(victim(host), signal.SIGKILL)
    for _ in range(20):  # until the kernel has told those who wait for the victim
        if lab("host", "up", NAME, ADDRESS, check=False).stdout.endswith(": started\n"):
            break
    assert ssh("echo here") == "here"


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 1.0])
def test_comes_up_after_its_start_was_killed(seconds: float) -> None:
    lab("host", "down", NAME)
    process = subprocess.Popen([sys.executable, "-m", "lab", "host", "up", NAME, ADDRESS], cwd=REPO, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    lab("host", "up", NAME, ADDRESS)
    assert ssh("echo here") == "here"
    lab("host", "down", NAME)


def test_a_stranger_with_the_recorded_pid_is_no_host(host: Host) -> None:
    lab("host", "kill", NAME)
    with subprocess.Popen(["sleep", "300"]) as stranger:
        pid, _, boot = identity(stranger.pid).split()
        host.pid_file.write_text(f"{pid} 1 {boot}")
        assert lab("host", "up", NAME, ADDRESS).stdout.endswith(": started\n")
        lab("host", "down", NAME)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("moment", ["entry.write_text('half')", "entry.rename(out / 'other')"])
def test_a_killed_build_leaves_no_build(tmp_path: Path, moment: str) -> None:
    script = f"""
import os, sys
from pathlib import Path
from lab.build import build
def make(out):
    entry = out / "file"
    entry.write_text("whole")
    if sys.argv[1] == "dies":
        {moment}
        os.kill(os.getpid(), 9)
print((build("probe", [Path(__file__)], {{}}, make) / "file").read_text())
"""
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(REPO)}
    command = [sys.executable, str(tmp_path / "script.py")]
    assert subprocess.run([*command, "dies"], env=environment, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert subprocess.run([*command, "lives"], env=environment, check=True, capture_output=True, text=True).stdout == "whole\n"
    assert [path.name[:6] for path in (tmp_path / "rackstart/builds").glob("*probe-*")] == ["probe-"]


def leftovers() -> dict[str, object]:
    """Everything of the lab that a machine can have."""
    mounts = Path("/proc/self/mountinfo").read_text()
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return {
        "cgroups": cgroups.hosts(),
        "links": {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(("vb-", "br-rack"))},
        "table": paths.NFT_TABLE in tables,
        "mounts": str(paths.STATE) in mounts,
        "state": paths.STATE.exists(),
    }


def test_down_leaves_nothing_whatever_it_finds(host: Host) -> None:
    os.kill(supervisor(host), signal.SIGKILL)  # the host runs on, unseen
    before = json.loads(machine.BEFORE.read_text())
    subprocess.run(["ip", "link", "add", "vb-gone", "type", "veth", "peer", "name", "vb-gone-peer"], check=True)
    subprocess.run(["ip", "link", "set", "vb-gone", "master", paths.BRIDGE], check=True)
    stale = next(cgroups.directories(NAME)).with_name(f"{paths.CGROUP_PREFIX}gone")
    stale.mkdir()
    with subprocess.Popen(["sleep", "300"]) as orphan:
        (stale / "cgroup.procs").write_text(str(orphan.pid))
        half = paths.HOSTS / ".half"
        half.mkdir()
        subprocess.run(["mount", "--bind", half, half], check=True)
        lab("down")
        assert orphan.wait(10) == -signal.SIGKILL
    assert leftovers() == {"cgroups": set(), "links": set(), "table": False, "mounts": False, "state": False}
    assert {name: int((machine.SETTINGS / name).read_text()) for name in machine.LEAST} == before
    lab("down")  # and again, with nothing there

"""Life of the lab's hosts: up, down, power loss, power on, new disks. Every operation holds the lab's lock and survives its own death."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, debian, lock, machine, network, paths
from lab.build import cached, remove
from lab.engine.build import artifact as build_engine
from lab.host import USER, Host, all_hosts, prepare_state, write_known_hosts
from lab.nvidia import pci
from lab.processes import alive
from lab.root import suites
from lab.root.build import artifact as build_root
from lab.shell import LabError

ENGINE_TARGET = "/opt/rackstart-engine"
PCI_TARGET = "/usr/lib/pci-bus"  # from where container-host.service puts it over /sys/bus/pci/devices
SSH_SECONDS = 120


@dataclass(frozen=True)
class Status:
    name: str
    address: str
    gpus: list[str]
    state: str  # running, off, or broken: processes without a supervisor


def describe(name: str, address: str, gpus: list[str], suite: str = debian.SUITE, binds: dict[str, str] | None = None) -> Host:
    """What a host with these traits is made of now; builds what is missing of it, but for the engine."""
    try:
        all_binds = {str(pci.tree(gpus)): PCI_TARGET} | (binds or {})
    except ValueError as error:
        raise LabError(f"host {name}: {error}") from error
    if gpus and (engine := cached(build_engine)):
        all_binds[str(engine)] = ENGINE_TARGET
    kind = suites.find(suite)
    return Host(name, address, gpus, str(build_root(kind.release, kind.packages)), all_binds, kind.files)


def up(wanted: list[Host]) -> list[str]:
    """Start what does not run, all at once, and wait until each answers ssh; names of those that were started.

    A host that runs is left alone. One that does not keeps its disks, unless it is to be made of other parts than before.
    """
    started: dict[str, subprocess.Popen[bytes]] = {}
    with lock.held() as lock_fd:
        prepare_state()
        for host in wanted:
            _check(host)
        machine.prepare()
        network.up()
        for host in wanted:
            if state(host.name) == "running":
                continue
            cgroups.kill(host.name)
            if not host.directory.exists() or outdated(host):
                host.install()
            write_known_hosts()
            started[host.name] = _start(host, lock_fd)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: _wait_for_ssh(host, started.get(host.name)), wanted))
    return list(started)


def start(name: str) -> None:
    """Power a host on; its disks are as it left them."""
    up([Host.load(name)])


def kill(name: str) -> None:
    """Power loss: every process of the host ends at once, its disks stay."""
    Host.load(name)
    with lock.held():
        _kill(name)


def wipe(names: list[str]) -> None:
    """Power loss, a fresh installation, power on, of all of them at once."""
    wiped = [Host.load(name) for name in names]
    with lock.held():
        for host in wiped:
            _kill(host.name)
            host.install()
    up(wiped)


def down(names: list[str]) -> None:
    """End hosts and forget their disks."""
    with lock.held():
        for name in names:
            _down(name)
        if paths.SSH.exists():
            write_known_hosts()


def down_all() -> None:
    """Leave nothing of the lab on the machine but its builds, whatever state a crash left it in."""
    with lock.held():
        names = {path.name.removeprefix(".") for path in paths.HOSTS.glob("*")} | cgroups.hosts()
        for name in sorted(names):
            _down(name)
        network.down()
        machine.restore()
        remove(paths.STATE)
        if paths.STATE.exists():
            raise LabError(f"{paths.STATE} could not be removed: see what is left in it")


def outdated(host: Host) -> bool:
    """Whether such a host is there, but made of other parts."""
    return any(other.name == host.name and other != host for other in all_hosts())


def state(name: str) -> str:
    """Running, off, or broken."""
    pid_file = paths.HOSTS / name / "pid"
    if pid_file.exists() and alive(pid_file.read_text()):
        return "running"
    return "broken" if cgroups.processes(name) else "off"


def status() -> list[Status]:
    return [Status(host.name, host.address, host.gpus, state(host.name)) for host in all_hosts()]


def ssh_command(host: Host) -> list[str]:
    """The command that logs in to a host, trusting its known key only."""
    options = [f"UserKnownHostsFile={paths.KNOWN_HOSTS}", "IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=5", "LogLevel=ERROR"]
    return ["ssh", "-F", "none", "-i", str(paths.IDENTITY), *(f"-o{option}" for option in options), f"{USER}@{host.address}"]


def _start(host: Host, lock_fd: int) -> "subprocess.Popen[bytes]":
    network.delete_link(network.host_link(host.name))
    host.pid_file.unlink(missing_ok=True)
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", "lab.supervise", host.name, str(lock_fd)]
    if Path("/run/systemd/system").is_dir():  # then cgroups are systemd's to give
        scope = cgroups.scope(host.name)
        subprocess.run(["systemctl", "--quiet", "stop", scope], check=False, stderr=subprocess.DEVNULL)
        command = ["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", f"--unit={scope}", *command]
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    with host.console.open("a") as console:
        return subprocess.Popen(
            command, cwd=paths.REPO, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            start_new_session=True, pass_fds=[lock_fd],
        )  # fmt: skip


def _kill(name: str) -> None:
    cgroups.kill(name)
    network.delete_link(network.host_link(name))
    (paths.HOSTS / name / "pid").unlink(missing_ok=True)


def _down(name: str) -> None:
    _kill(name)
    with suppress(FileNotFoundError):
        Path("/run/systemd/nspawn/propagate", name).rmdir()
    for directory in (paths.HOSTS / name, paths.HOSTS / f".{name}"):
        remove(directory)
        if directory.exists():
            raise LabError(f"{directory} could not be removed: see what is left in it")


def _check(host: Host) -> None:
    """Refuse what cannot be, before anything is touched; say what will not be as asked for."""
    host.check()
    if not outdated(host):
        return
    there = Host.load(host.name)
    if state(host.name) != "running":
        print(f"lab: {host.name} is off and was made of other parts: it is installed anew", file=sys.stderr)
    elif (there.address, there.gpus) != (host.address, host.gpus):
        what = f"{there.address} with GPUs {there.gpus}"
        raise LabError(f"host {host.name} runs already, at {what}: end it first with `python -m lab host down {host.name}`")
    else:
        print(f"lab: {host.name} runs on other builds than this checkout's; `lab down` and `lab up` renew it", file=sys.stderr)


def _wait_for_ssh(host: Host, supervisor: "subprocess.Popen[bytes] | None") -> None:
    deadline = time.monotonic() + SSH_SECONDS
    while subprocess.run([*ssh_command(host), "true"], check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode:
        if not host.directory.exists():
            raise LabError(f"host {host.name} was taken down by another process")
        ended = supervisor.poll() is not None if supervisor else state(host.name) != "running"
        if ended or time.monotonic() > deadline:
            what = "did not start" if ended else f"does not answer ssh after {SSH_SECONDS} s"
            raise LabError(f"host {host.name} {what}; the end of {host.console}:\n{_tail(host.console)}")
        time.sleep(0.2)


def _tail(file: Path) -> str:
    return "\n".join("  " + line for line in file.read_text(errors="replace").splitlines()[-15:])

"""The two machines in QEMU without KVM: each has a network of QEMU's own, for ssh and packages, and a cable to the other."""

import fcntl
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

from lab import paths
from lab.build import remove
from lab.processes import alive, identity
from lab.shell import LabError, run
from tests.vm.image import USER

STATE = paths.CACHE / "vm"
RECORD = paths.REPO / ".ansible/record-vm.jsonl"  # of every play, for `make coverage`
LOCK = paths.CACHE / ".vm.lock"
INVENTORY = Path(__file__).parent / "inventory"
ADDRESSES = {"server": "10.79.0.1", "client": "10.79.0.2"}
MEMORY, CODE = 640, 192  # MiB of a machine, and of what QEMU translates its code to: below 1 GiB together
BOOT = 900  # seconds that a boot may take on a machine that has more to do
PLAY = 2400  # seconds that a playbook may take

SSH_CONFIG = """\
Host *
  IdentityFile {state}/id
  IdentitiesOnly yes
  UserKnownHostsFile {state}/known_hosts
  HostKeyAlias vm
  StrictHostKeyChecking yes
  ConnectTimeout 30
"""


Processes = dict[str, subprocess.Popen[bytes]]


@dataclass
class Play:
    """One run of playbooks: what it changed, or in check mode would change, as (task's place, its name, host)."""

    changed: set[tuple[str, str, str]]


@contextmanager
def running(base: Path) -> Iterator[Processes]:
    """Both machines with new disks on `base`, until the end; gives their processes."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError("another process runs the virtual machines of this user: wait until it has ended") from error
        end()
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.unlink(missing_ok=True)
        try:
            yield _start_all(base)
        finally:
            end()


def end() -> None:
    """End the machines that are left, of a run that was killed too, and forget their disks."""
    for file in STATE.glob("*.pid"):
        while alive(recorded := file.read_text()):
            pid = int(recorded.split()[0])
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
            with suppress(ChildProcessError):  # one of a killed run is not a child of this
                os.waitpid(pid, 0)
            time.sleep(0.1)
    remove(STATE)


def _start_all(base: Path) -> Processes:
    """What both share, then one after the other."""
    STATE.mkdir(mode=0o700)
    for name in ("id", "become_password"):
        shutil.copy2(base / name, STATE)
    key = " ".join((base / "host_key.pub").read_text().split()[:2])
    (STATE / "known_hosts").write_text(f"vm {key}\n")
    ports = {name: _free_port() for name in ADDRESSES}
    hosts = [f"Host {name} {ADDRESSES[name]}\n  HostName 127.0.0.1\n  Port {port}\n" for name, port in ports.items()]
    (STATE / "ssh_config").write_text("".join(hosts) + SSH_CONFIG.format(state=STATE))
    return {name: _start(name, port, base) for name, port in ports.items()}


def _start(name: str, port: int, base: Path) -> subprocess.Popen[bytes]:
    """One machine, which the kernel ends when this process dies."""
    disk, swap, other = STATE / f"{name}.qcow2", STATE / f"{name}.swap", next(n for n in ADDRESSES if n != name)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base / "disk.ext4", "-F", "raw", disk])
    with swap.open("wb") as file:
        file.truncate(64 * 2**20)
    run(["mkswap", "--quiet", swap])
    command = [
        "setpriv", "--pdeathsig", "KILL",
        "qemu-system-x86_64", "-name", name, "-machine", "q35", "-accel", f"tcg,tb-size={CODE}", "-cpu", "max", "-m", str(MEMORY),
        "-nodefaults", "-display", "none", "-serial", f"file:{STATE / name}.log",
        "-kernel", base / "vmlinuz", "-initrd", base / "initrd.img",
        "-append", "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off",
        "-drive", f"file={disk},if=virtio,cache=unsafe", "-drive", f"file={swap},if=virtio,format=raw,cache=unsafe",
        "-netdev", f"user,id=outside,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=outside",
        "-netdev", f"dgram,id=cable,local.type=unix,local.path={STATE / name}.cable,remote.type=unix,remote.path={STATE / other}.cable",
        "-device", f"virtio-net-pci,netdev=cable,mac=52:54:00:79:00:0{ADDRESSES[name][-1]}", "-device", "virtio-rng-pci",
    ]  # fmt: skip
    with (STATE / f"{name}.err").open("w") as errors:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    (STATE / f"{name}.pid").write_text(identity(process.pid))
    return process


def wait(processes: Processes) -> None:
    """Until both answer ssh; LabError with what they said when one does not."""
    deadline = time.monotonic() + BOOT
    for name, process in processes.items():
        while ssh(name, "true").returncode:
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"does not answer ssh after {BOOT} s"
                words = "".join(file.read_text(errors="replace") for file in STATE.glob(f"{name}.[el]*"))
                raise LabError(f"machine {name} {what}; it last said:\n  " + "\n  ".join(words.splitlines()[-15:]))
            time.sleep(1)


def ssh(name: str, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on a machine as its user."""
    words = ["ssh", "-F", str(STATE / "ssh_config"), "-o", "LogLevel=ERROR", "-l", USER, name, command]
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=300)


def root(name: str, command: str) -> tuple[int, str]:
    """Run a shell command as root on a machine; (exit code, both streams)."""
    done = ssh(name, f"sudo --stdin --prompt= sh -c {shlex.quote(command)}", (STATE / "become_password").read_text())
    return done.returncode, (done.stdout + done.stderr).strip()


def ask(name: str, command: str) -> str:
    """What a shell command that must succeed prints, run as root on a machine."""
    code, words = root(name, command)
    assert code == 0, f"{name}: {command}: exit {code}\n{words}"
    return words


def play(*playbooks: str, check: bool = False) -> Play:
    """Run playbooks on the machines; AssertionError with the end of Ansible's output when one fails."""
    record = STATE / "record.jsonl"
    record.unlink(missing_ok=True)
    environment = os.environ | {
        "RACKSTART_VM": str(STATE), "RACKSTART_RECORD": str(record), "ANSIBLE_CALLBACKS_ENABLED": "record",
        "ANSIBLE_CALLBACK_PLUGINS": str(paths.REPO / "tests/plugins"), "ANSIBLE_TIMEOUT": "120",
    }  # fmt: skip
    command = ["ansible-playbook", "-i", str(INVENTORY), *(["--check"] if check else []), *playbooks]
    done = subprocess.run(
        command, cwd=paths.REPO, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PLAY
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    with RECORD.open("a") as file:
        file.write(record.read_text())
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    changed = {(entry["task"], entry["name"], entry["host"]) for entry in entries if entry.get("outcome") == "changed"}
    return Play(changed)


def settings(host: str) -> dict[str, Any]:
    """A host's settings as the inventory declares them."""
    return dict(json.loads(run(["ansible-inventory", "-i", INVENTORY, "--host", host], env=os.environ | {"RACKSTART_VM": str(STATE)})))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

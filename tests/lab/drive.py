"""The lab as its tests reach it: bootstrap.py as a user calls it, its hosts over ssh, its cluster through the API."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest
import yaml

from lab import hosts, paths
from lab.host import Host

if TYPE_CHECKING:
    from ansible_collections.rackstart.cluster.plugins.module_utils.gateway_client import Address

ROOT = paths.REPO
INVENTORY = ROOT / "inventories/lab"
STATE = Path(platformdirs.user_state_path("rackstart")) / "lab"
ADDRESS: "Address" = {"host": "10.77.0.11", "port": 30443, "ca": [str(STATE / "gateway-ca.crt")]}  # of the gateway
SECOND_GPU = "0000:18:00.0"  # of each GPU host
COMMANDS: set[bytes] = set()  # every command line of the machine and its hosts that was seen while bootstrap.py ran
MODEL = yaml.safe_load((INVENTORY / "group_vars/all/models.yml").read_text())["models"][0]


@dataclass(frozen=True)
class Finished:
    """A command that ended: exit code (negative for a signal), both streams, seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """What --json printed."""
        assert self.out.startswith("{"), self
        return dict(json.loads(self.out))

    @property
    def changes(self) -> set[tuple[str, str, str]]:
        """(stage, task, host) of everything that was changed, or in a dry run would be."""
        return {(stage["stage"], change["task"], change["host"]) for stage in self.json["stages"] for change in stage["changes"]}

    @property
    def red(self) -> set[tuple[str, str]]:
        """(gate, stage that puts it right) of the closed gates."""
        return {(gate["id"], gate["stage"]) for gate in self.json["verdict"]["gates"] if not gate["ok"]}

    @property
    def reasons(self) -> str:
        """The messages of what failed."""
        return "\n".join(failure["message"] for stage in self.json["stages"] for failure in stage["failures"])

    def __repr__(self) -> str:
        return f"exit {self.code} after {self.seconds:.0f} s\n{self.out[-4000:]}\n{self.err[-6000:]}"


class Running:
    """bootstrap.py in a session of its own, its output in files, what it says on standard error shown while it goes on."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], folder: Path, say: Callable[[str], None]) -> None:
        say(f"\n$ bootstrap.py {' '.join(arguments)}")
        self._say, self._shown, self._started = say, 0, time.monotonic()
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "bootstrap.py", *arguments], cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> Finished | None:
        """How it ended; None when `until` came true before. Killed, and the test failed, after `seconds`."""
        while not until():
            COMMANDS.update(command_lines())
            ended = self._ended()
            self._show()
            passed = time.monotonic() - self._started
            if ended:
                return Finished(self.process.returncode, self._out.read_text(), self._err.read_text(), passed)
            if passed > seconds:
                self.kill(group=True)
                pytest.fail(f"not done after {seconds} s:\n{self._err.read_text()[-6000:]}")
        return None

    def kill(self, group: bool) -> None:
        """SIGKILL to the wrapper, alone or with its process group."""
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _ended(self) -> bool:
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _show(self) -> None:
        lines = self._err.read_text().splitlines()
        for line in lines[self._shown :]:
            self._say(f"  {line}")
        self._shown = len(lines)


def command_lines() -> Iterator[bytes]:
    """Of every process of the machine, which those of the lab's hosts are among."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            yield process.read_bytes()


def on(host: str, command: str, given: str = "") -> str:
    """Standard output of a shell command run as root on a host of the lab, with `given` on its standard input."""
    words = [*hosts.ssh_command(Host.load(host)), f"sudo --stdin --prompt= sh -c {shlex.quote(command)}"]
    password = paths.BECOME_PASSWORD.read_text() + "\n"
    return subprocess.run(words, input=password + given, capture_output=True, text=True, check=True, timeout=120).stdout


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a YAML file of an inventory; it may be empty."""
    content = yaml.safe_load(file.read_text()) or {}
    change(content)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for what the cluster comes to by itself; the test has failed after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not so after {seconds} s: {what}")
        time.sleep(0.5)


def offered(node: str, gpus: int) -> None:
    """Wait until a node offers so many GPUs."""
    from kubernetes.client import CoreV1Api

    core = CoreV1Api(api())
    until(lambda: core.read_node(node).status.allocatable.get("nvidia.com/gpu", "0") == str(gpus), f"{node} offers {gpus} GPUs")


@contextmanager
def one_gpu(*names: str) -> Iterator[None]:
    """Hosts without their second GPU: it is off the bus, and thus out of sight for driver and cluster."""
    bus, rest = "/sys/bus/pci/devices", "/run/bus"
    for name in names:
        on(name, f"cp -r {bus} {rest}; rm -r {rest}/{SECOND_GPU}; mount --bind {rest} {bus}")
    try:
        for name in names:
            offered(name, 1)
        yield
    finally:
        for name in names:
            on(name, f"umount {bus}; rm -r {rest}")
        for name in names:
            offered(name, 2)


def api() -> Any:
    """The cluster's API, by the kubeconfig that the wrapper keeps."""
    from kubernetes.config import new_client_from_config

    return new_client_from_config(str(STATE / "kubeconfig"))


def cluster_id() -> str:
    """What names the cluster for good; another one would have another."""
    from kubernetes.client import CoreV1Api

    return str(CoreV1Api(api()).read_namespace("kube-system").metadata.uid)

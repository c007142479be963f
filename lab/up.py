"""The whole lab: builds, the mirror host, the topology's hosts."""

import importlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import debian, hosts, lock, packages, paths
from lab.host import Host
from lab.shell import LabError

TOPOLOGY = Path(__file__).with_name("topology.yml")
MIRROR = "mirror"
MIRROR_ADDRESS = "10.77.0.2"
MIRROR_SETUP = paths.REPO / "lab/mirror/setup.sh"


@dataclass(frozen=True)
class Planned:
    name: str
    address: str
    gpus: list[str]
    suite: str


def read(file: Path) -> list[Planned]:
    """The hosts of a topology file; LabError names the file and what is wrong in it."""
    try:
        entries = yaml.safe_load(file.read_text())["hosts"].items()
        return [
            Planned(str(name), str(entry["address"]), [str(gpu) for gpu in entry.get("gpus", [])], str(entry.get("suite", debian.SUITE)))
            for name, entry in entries
        ]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        form = "hosts: {NAME: {address: IP, gpus: [MODEL, ...], suite: SUITE}, ...}"
        raise LabError(f"{file}: no topology ({type(error).__name__}: {error}); its form is {form}") from error


def up(names: list[str], file: Path = TOPOLOGY) -> None:
    """Build what is missing, start the mirror and the named hosts (all without names), and wait until the mirror serves."""
    planned = read(file)
    if unknown := set(names) - {host.name for host in planned}:
        raise LabError(f"{file} has no host {', '.join(sorted(unknown))}; it has {', '.join(host.name for host in planned)}")
    packages.ensure(packages.HOSTS)
    mirror = hosts.describe(MIRROR, MIRROR_ADDRESS, [], binds={str(builder("lab.mirror.build")()): "/srv/mirror"})
    builder("lab.engine.build")()
    wanted = [hosts.describe(host.name, host.address, host.gpus, host.suite) for host in planned if not names or host.name in names]
    if hosts.outdated(mirror):  # it holds nothing of its own
        hosts.down([MIRROR])
    started = hosts.up([mirror, *wanted])
    with lock.held():  # two at once would meet in apt
        _set_up(mirror)
    for host in [mirror, *wanted]:
        print(f"{host.name} {host.address}: {'started' if host.name in started else 'already running'}")


def builder(module: str) -> Callable[[], Path]:
    """The `artifact` function of a part of the lab."""
    try:
        artifact: Callable[[], Path] = importlib.import_module(module).artifact
    except ModuleNotFoundError as error:
        raise LabError(f"a part of the lab is missing from this checkout: {error.name}") from error
    return artifact


def _set_up(mirror: Host) -> None:
    """Install and start in the mirror host what serves /srv/mirror; the script changes nothing where all is in place."""
    script = f"{paths.BECOME_PASSWORD.read_text()}\n{MIRROR_SETUP.read_text()}"
    done = subprocess.run(
        [*hosts.ssh_command(mirror), "sudo --stdin --prompt= bash -eu -s"], check=False, input=script, capture_output=True, text=True
    )
    if done.returncode:
        words = (done.stderr or done.stdout).splitlines()[-15:]
        raise LabError(f"{MIRROR_SETUP} failed in host {MIRROR}:\n  " + "\n  ".join(words))

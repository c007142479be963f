"""One host on disk: what it is, and a disk as a fresh installation leaves it."""

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import ClassVar

from lab import paths
from lab.build import remove
from lab.shell import LabError, run

NAME = re.compile(r"[a-z][a-z0-9-]{0,10}[a-z0-9]")  # `vb-NAME` must fit into an interface's 15 characters
USER = "rack"


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    gpus: list[str]
    lower: str  # the root file system below the host's own changes
    binds: dict[str, str] = field(default_factory=dict)  # directory on the machine -> read-only directory in the host
    files: dict[str, str] = field(default_factory=dict)  # path -> text that a fresh installation has besides the root's

    # containerd, kubelet, etcd and NFS servers need a file system that is not an overlay
    DATA: ClassVar = ["var/lib/containerd", "var/lib/kubelet", "var/lib/rancher", "srv"]

    @property
    def directory(self) -> Path:
        return paths.HOSTS / self.name

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @classmethod
    def load(cls, name: str) -> "Host":
        """A host that was made before; LabError when there is none."""
        try:
            record = json.loads((paths.HOSTS / name / "host.json").read_text())
            return cls(**{key: record[key] for key in cls.__dataclass_fields__ if key in record})  # another checkout may have made it
        except FileNotFoundError as error:
            there = ", ".join(sorted(path.name for path in paths.HOSTS.glob("[a-z]*"))) or "none"
            raise LabError(f"the lab has no host {name}; hosts: {there}") from error

    def check(self) -> None:
        """Refuse what could not work."""
        if not NAME.fullmatch(self.name):
            raise LabError(f"host name {self.name!r}: 2 to 12 lower-case letters, digits and '-', beginning with a letter")
        network = ip_network(paths.NETWORK)
        if ip_address(self.address) not in list(network.hosts())[1:]:
            raise LabError(f"host {self.name}: {self.address} is not one of {paths.NETWORK}'s addresses from .2 on")
        for other in all_hosts():
            if other.name != self.name and other.address == self.address:
                raise LabError(f"host {self.name}: {other.name} has the address {self.address} already")

    def install(self) -> None:
        """Lay the host's disks anew: whole or not at all."""
        partial = paths.HOSTS / f".{self.name}"
        remove(partial)
        for name in ("upper", "work", "root", *(f"data/{path}" for path in self.DATA)):
            (partial / name).mkdir(parents=True)
        upper = partial / "upper"
        upper.chmod(0o755)
        for source, mode in (("etc", 0o755), ("etc/ssh", 0o755), ("etc/systemd", 0o755), ("etc/systemd/network", 0o755)):
            (upper / source).mkdir(mode=mode)
        _write(upper / "etc/hostname", f"{self.name}\n")
        _write(upper / "etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        address = f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nGateway={paths.CONTROLLER}\nIPv6AcceptRA=no\n"
        _write(upper / "etc/systemd/network/10-host0.network", address)
        for path, text in self.files.items():
            self._lay(upper, path, text)
        self._login(upper)
        _write(partial / "host.json", json.dumps(asdict(self), indent=2) + "\n")
        if self.directory.exists():
            remove(self.directory)
        partial.rename(self.directory)

    def _lay(self, upper: Path, path: str, text: str) -> None:
        """A file of the host's own, in directories as the root has them."""
        for parent in reversed(Path(path).relative_to("/").parents[:-1]):
            (upper / parent).mkdir(mode=0o755, exist_ok=True)
        _write(upper / path.lstrip("/"), text)

    def _login(self, upper: Path) -> None:
        """The host's ssh key, and the user with the lab's key and password."""
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", upper / "etc/ssh/ssh_host_ed25519_key"])
        lower = Path(self.lower)
        owner = (lower / "home" / USER).stat()
        for name, mode in ((f"home/{USER}", 0o700), (f"home/{USER}/.ssh", 0o700)):
            (upper / name).mkdir(parents=True, mode=mode)
            os.chown(upper / name, owner.st_uid, owner.st_gid)
        keys = upper / f"home/{USER}/.ssh/authorized_keys"
        _write(keys, paths.IDENTITY.with_suffix(".pub").read_text(), 0o600)
        os.chown(keys, owner.st_uid, owner.st_gid)
        password = run(["chroot", lower, "openssl", "passwd", "-6", "-stdin"], stdin=paths.BECOME_PASSWORD.read_text()).strip()
        lines = (lower / "etc/shadow").read_text().splitlines()
        shadow = [f"{USER}:{password}:{line.split(':', 2)[2]}" if line.startswith(f"{USER}:") else line for line in lines]
        _write(upper / "etc/shadow", "\n".join(shadow) + "\n", 0o640)
        os.chown(upper / "etc/shadow", 0, (lower / "etc/shadow").stat().st_gid)


def all_hosts() -> list[Host]:
    """Every host of the lab, running or not, by name."""
    return [Host.load(path.parent.name) for path in sorted(paths.HOSTS.glob("[a-z]*/host.json"))]


def prepare_state() -> None:
    """What all hosts share: the lab's ssh key and the user's password."""
    paths.STATE.mkdir(mode=0o700, exist_ok=True)
    for directory in (paths.HOSTS, paths.SSH):
        directory.mkdir(mode=0o700, exist_ok=True)
    if not paths.IDENTITY.with_suffix(".pub").exists():
        paths.IDENTITY.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rackstart-lab", "-f", paths.IDENTITY])
    if not paths.BECOME_PASSWORD.exists():
        replace(paths.BECOME_PASSWORD, secrets.token_urlsafe(18), 0o600)


def write_known_hosts() -> None:
    """The ssh keys of all hosts, for strict checking."""
    lines = []
    for host in all_hosts():
        kind, key = (host.directory / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
        lines.append(f"{host.name},{host.address} {kind} {key}\n")
    replace(paths.KNOWN_HOSTS, "".join(lines), 0o600)


def replace(file: Path, text: str, mode: int) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    _write(partial, text, mode)
    partial.rename(file)


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        os.fchmod(out.fileno(), mode)

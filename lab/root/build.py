"""The Debian root file systems, one of each release, that lab hosts share below their own changes."""

from collections.abc import Sequence
from pathlib import Path

from lab import debian, packages
from lab.build import build
from lab.nfs_mount import build as nfs_mount

HERE = Path(__file__).parent

OPERATING_SYSTEM = [
    "apt", "ca-certificates", "curl", "dbus", "gnupg", "iproute2", "iputils-ping", "kmod", "mount", "openssh-server", "openssl",
    "procps", "python3", "python3-apt", "sudo", "systemd", "systemd-sysv", "udev", "util-linux",
]  # fmt: skip
# k3s carries these inside; its stand-in takes Debian's
CONTAINERS = ["conntrack", "containerd", "containernetworking-plugins", "ethtool", "iptables", "nftables", "runc", "socat"]
NFS_MOUNT = ["fuse3", "libnfs13"]  # what lab/nfs_mount is linked with: the machine's release has them, a later one no longer


def artifact(release: str = debian.SUITE, further: Sequence[str] = ()) -> Path:
    """The root directory of a release of Debian, with further packages; needs root and a Debian archive."""
    packages.ensure(packages.HOSTS)
    mount = nfs_mount.artifact() if release == debian.SUITE else None
    names = OPERATING_SYSTEM + CONTAINERS + (NFS_MOUNT if mount else []) + [*further]
    params = {"release": release, "packages": names, "nfs_mount": mount.name if mount else ""}
    inputs = [Path(debian.__file__), HERE / "build.py", HERE / "files", HERE / "customize"]
    return build(f"root-{release}", inputs, params, lambda out: _make(out, names, mount, release))


def _make(out: Path, names: list[str], mount: Path | None, release: str) -> None:
    hooks = [f"copy-in {HERE}/files/etc {HERE}/files/usr /", f'{HERE}/customize "$1"']
    if mount:
        hooks.insert(1, f"copy-in {mount}/mount.nfs /sbin")
    debian.install(out, names, hooks, release)

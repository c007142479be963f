"""The Debian 12 root file system that all lab hosts share below their own changes."""

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
NFS_MOUNT = ["fuse3", "libnfs13"]  # what lab/nfs_mount is linked with


def artifact() -> Path:
    """The root directory; needs root and a Debian archive."""
    packages.ensure(packages.HOSTS)
    names = OPERATING_SYSTEM + CONTAINERS + NFS_MOUNT
    mount = nfs_mount.artifact()
    params = {"packages": names, "nfs_mount": mount.name}
    return build(
        "root", [Path(debian.__file__), HERE / "build.py", HERE / "files", HERE / "customize"], params, lambda out: _make(out, names, mount)
    )


def _make(out: Path, names: list[str], mount: Path) -> None:
    hooks = [f"copy-in {HERE}/files/etc {HERE}/files/usr /", f"copy-in {mount}/mount.nfs /sbin", f'{HERE}/customize "$1"']
    debian.install(out, names, hooks)

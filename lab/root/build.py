"""The Debian 12 root file system that all lab hosts share below their own changes."""

import shutil
import subprocess
from pathlib import Path

from lab import packages
from lab.build import build
from lab.nfs_mount import build as nfs_mount
from lab.shell import LabError

HERE = Path(__file__).parent
SUITE = "bookworm"

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
    params = {"suite": SUITE, "packages": names, "nfs_mount": mount.name}
    return build("root", [HERE / "build.py", HERE / "files", HERE / "customize"], params, lambda out: _make(out, names, mount))


def _make(out: Path, names: list[str], mount: Path) -> None:
    log = out.with_name(out.name + ".log")
    command = [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--skip=cleanup/apt/lists",
        f"--include={','.join(names)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=force-unsafe-io",
        f"--customize-hook=copy-in {HERE}/files/etc {HERE}/files/usr /",
        f"--customize-hook=copy-in {mount}/mount.nfs /sbin",
        f"--customize-hook={HERE}/customize \"$1\"",
        SUITE, str(out),
    ]  # fmt: skip
    with log.open("w") as output:
        failed = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT).returncode
    words = log.read_text().splitlines()[-15:]
    log.unlink()
    if failed:
        shutil.rmtree(out, ignore_errors=True)
        raise LabError("the hosts' root file system was not built; mmdebstrap said:\n  " + "\n  ".join(words))

"""The disk that both machines begin with: Debian 12 and its cloud kernel as a fresh installation leaves them, and a user to log in."""

import os
import secrets
from pathlib import Path

from lab import debian, packages
from lab.build import build, remove
from lab.shell import run

HERE = Path(__file__).parent / "image"
USER = "rack"
DISK = "4G"  # sparse
# What the roles install is not in it.
PACKAGES = [
    "apt", "ca-certificates", "dbus", "initramfs-tools", "iproute2", "kmod", "linux-image-cloud-amd64", "mount", "openssh-server",
    "procps", "python3", "python3-apt", "sudo", "systemd", "systemd-sysv", "udev", "util-linux", "zstd",
]  # fmt: skip
MACHINE = ["debian-archive-keyring", "e2fsprogs", "mmdebstrap", "openssh-client", "openssl", "qemu-system-x86", "qemu-utils", "util-linux"]


def artifact() -> Path:
    """Directory with disk.ext4, vmlinuz, initrd.img, the login (id, id.pub, become_password) and the machines' ssh key; needs root."""
    packages.ensure(MACHINE)
    params = {"packages": PACKAGES, "disk": DISK}
    return build("vm", [Path(debian.__file__), HERE.with_suffix(".py"), HERE], params, _make)


def _make(out: Path) -> None:
    password = secrets.token_urlsafe(18)
    _private(out / "become_password", password + "\n")
    for name in ("id", "host_key"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rackstart-vm", "-f", out / name])
    _private(out / "password_hash", run(["openssl", "passwd", "-6", "-stdin"], stdin=password))
    root = out / "root"
    debian.install(root, PACKAGES, [f"copy-in {HERE}/etc /", f'{HERE}/customize "$1" {USER} {out}'])
    disk = out / "disk.ext4"
    _private(disk, "")
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, disk, DISK])
    for name in ("vmlinuz", "initrd.img"):
        (root / name).resolve(strict=True).rename(out / name)
    remove(root)
    (out / "password_hash").unlink()


def _private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)

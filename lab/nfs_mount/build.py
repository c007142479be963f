"""The mount.nfs stand-in, compiled on the machine for the hosts' root."""

from pathlib import Path

from lab import packages
from lab.build import build
from lab.shell import run

HERE = Path(__file__).parent
SOURCES = ["mount.c", "client.c", "options.c"]
FLAGS = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]


def artifact() -> Path:
    """A directory with the program `mount.nfs`."""
    packages.ensure(["gcc", "libc6-dev", "libfuse3-dev", "libnfs-dev", "pkg-config"])
    return build("nfs-mount", [HERE], {}, _make)


def _make(out: Path) -> None:
    libraries = run(["pkg-config", "--cflags", "--libs", "fuse3", "libnfs"]).split()
    run(["gcc", *FLAGS, "-o", out / "mount.nfs", *(HERE / name for name in SOURCES), *libraries])

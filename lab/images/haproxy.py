"""Debian's HAProxy with the libraries that it needs: unpacked, not configured."""

import shutil
from pathlib import Path

from lab import packages
from lab.build import build
from lab.images.debian import LEFT_OUT
from lab.shell import run


def artifact() -> Path:
    """A small root file system without device nodes, which has usr/sbin/haproxy."""

    def make(out: Path) -> None:
        packages.ensure(["debian-archive-keyring", "mmdebstrap"])
        exclude = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        root = out / "root"
        run(["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory", *exclude, "--include=haproxy", "bookworm", root])
        shutil.rmtree(root / "dev")

    return build("image-haproxy", [Path(__file__)], {}, make) / "root"

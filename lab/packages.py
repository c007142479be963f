"""Debian packages that the lab needs on the machine; what is missing is installed, and said."""

import os
import sys

from lab.shell import LabError, run

HOSTS = ["debian-archive-keyring", "iproute2", "mmdebstrap", "nftables", "openssh-client", "systemd-container", "util-linux"]


def ensure(names: list[str]) -> None:
    """Install those of the packages that are missing."""
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return
    print(f"lab: installing Debian packages: {' '.join(missing)}", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=300"]
    run([*apt, "update"], env=environment)
    run([*apt, "install", "--yes", "--no-install-recommends", *missing], env=environment)


def _installed(name: str) -> bool:
    try:
        return run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]) == "installed"
    except LabError:
        return False

"""Debian packages that the lab needs on the machine; what is missing is installed, and said."""

import os
import subprocess
import sys

from lab.shell import run

HOSTS = ["debian-archive-keyring", "iproute2", "mmdebstrap", "nftables", "openssh-client", "systemd-container", "util-linux"]


def ensure(names: list[str]) -> None:
    """Install those of the packages that are missing."""
    missing = sorted(set(names) - _installed(names))
    if not missing:
        return
    print(f"lab: installing Debian packages: {' '.join(missing)}", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=300"]
    run([*apt, "update"], env=environment)
    run([*apt, "install", "--yes", "--no-install-recommends", *missing], env=environment)


def _installed(names: list[str]) -> set[str]:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", *names]
    lines = subprocess.run(query, check=False, capture_output=True, text=True).stdout.splitlines()  # it fails when one is unknown
    return {line.removeprefix("installed ") for line in lines if line.startswith("installed ")}

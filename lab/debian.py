"""Root file systems of Debian packages, for hosts of the lab and for virtual machines."""

import subprocess
from pathlib import Path

from lab.shell import LabError

SUITE = "bookworm"  # where nothing else is asked for


def install(root: Path, names: list[str], hooks: list[str], suite: str = SUITE) -> None:
    """Fill the directory `root` with the packages, their documentation left out; hooks are mmdebstrap's, run on it at the end.

    The lists of apt stay, so that a host need not fetch them first. Raises LabError with the end of mmdebstrap's output.
    """
    command = [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--skip=cleanup/apt/lists",
        f"--include={','.join(names)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=force-unsafe-io",
        *(f"--customize-hook={hook}" for hook in hooks),
        suite, str(root),
    ]  # fmt: skip
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise LabError(f"{root.name} was not built; mmdebstrap said:\n  " + "\n  ".join(done.stdout.splitlines()[-15:]))

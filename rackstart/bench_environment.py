"""The environment of AIPerf: made once from its own lock file, as bootstrap.py makes .venv, since Rackstart needs none of its packages."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from rackstart.errors import RackstartError
from rackstart.paths import ROOT

LOCK = ROOT / "requirements-bench.lock"
PIP = ["-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--no-compile", "--no-input", "--progress-bar", "off"]
PIP += ["--disable-pip-version-check", "--no-color", "--retries", "2", "--requirement", str(LOCK)]


def name() -> str:
    """Name and version, as locked."""
    found = re.search(r"^(aiperf)==(\S+)", LOCK.read_text(), re.M)
    return " ".join(found.groups()) if found else ""


def aiperf(say: Callable[[str], None]) -> Path:
    """The program in an environment that is made once for this lock file and this Python. Raises RackstartError when pip cannot."""
    made_of = LOCK.read_bytes() + sys.version.encode()
    folder = Path(platformdirs.user_cache_path("rackstart")) / f"bench-{hashlib.sha256(made_of).hexdigest()[:16]}"
    marker, log = folder / ".rackstart", folder / "pip.log"  # the marker is written last
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (marker.exists() and os.access(folder / "bin/python", os.X_OK)):
            say(f"making {folder} from {LOCK.name}; this is done once, takes some minutes, 230 MiB of downloads and 1 GiB of disk")
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True, symlinks=True)
            with log.open("wb") as out:
                failed = subprocess.run([folder / "bin/python", *PIP], stdout=out, stderr=subprocess.STDOUT).returncode
            if failed:
                errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR:")]
                raise RackstartError(
                    f"pip failed: {(errors or ['no reason given'])[-1]}; see {log} (pip.conf or PIP_INDEX_URL name a mirror)"
                )
            marker.touch()
    return folder / "bin/aiperf"

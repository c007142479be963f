"""A package index (PEP 503) with exactly the wheels that the hub's client is installed from."""

import hashlib
import re
import sys
from pathlib import Path

from lab import paths
from lab.build import build
from lab.shell import run

PYTHONS = ["3.11", "3.13"]  # of the releases of Debian that hosts have
LOCK = paths.REPO / "roles/model_store/files/requirements.txt"


def artifact() -> Path:
    """A directory with simple/PROJECT/WHEEL."""

    def make(out: Path) -> None:
        wheels = out / "wheels"
        for python in PYTHONS:
            options = ["--quiet", "--require-hashes", "--only-binary=:all:", f"--python-version={python}", "--no-deps"]
            run([sys.executable, "-m", "pip", "download", *options, f"--dest={wheels}", f"--requirement={LOCK}"])
        for wheel in sorted(wheels.iterdir()):
            project = out / "simple" / re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
            project.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            with (project / "index.html").open("a") as page:
                page.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
            wheel.rename(project / wheel.name)
        wheels.rmdir()
        names = sorted(project.name for project in (out / "simple").iterdir())
        (out / "simple/index.html").write_text("".join(f'<a href="{name}/">{name}</a><br>\n' for name in names))

    return build("python-index", [Path(__file__), LOCK], {}, make)

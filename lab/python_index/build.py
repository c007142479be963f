"""A package index (PEP 503) with exactly the wheels that the hub's client is installed from."""

import re
import sys
from pathlib import Path

from lab import paths
from lab.build import build
from lab.shell import run

LOCK = paths.REPO / "roles/model_store/files/requirements.txt"


def artifact() -> Path:
    """A directory with simple/PROJECT/WHEEL."""

    def make(out: Path) -> None:
        wheels = out / "wheels"
        options = ["--quiet", "--require-hashes", "--only-binary=:all:", "--python-version=3.11", "--no-deps"]
        run([sys.executable, "-m", "pip", "download", *options, f"--dest={wheels}", f"--requirement={LOCK}"])
        for wheel in sorted(wheels.iterdir()):
            project = out / "simple" / re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
            project.mkdir(parents=True, exist_ok=True)
            wheel.rename(project / wheel.name)
            links = (f'<a href="{file.name}">{file.name}</a><br>\n' for file in sorted(project.glob("*.whl")))
            (project / "index.html").write_text("".join(links))
        wheels.rmdir()

    return build("python-index", [Path(__file__), LOCK], {}, make)

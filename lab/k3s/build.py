"""The k3s stand-in: one static binary around the components of the Go module k8s.io/kubernetes."""

import os
import re
from pathlib import Path

from lab.build import build
from lab.shell import run

HERE = Path(__file__).parent
PACKAGES = sorted(file for file in (HERE / "internal").rglob("*") if file.is_file() and not file.name.endswith("_test.go"))
SOURCES = [HERE / name for name in ("build.py", "go.mod", "go.sum", "main.go")] + PACKAGES


def artifact() -> Path:
    """A directory with `k3s`. Takes five minutes on two cores the first time, and seconds where Go's own cache is warm."""

    def make(out: Path) -> None:
        version = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", (HERE / "go.mod").read_text())
        assert version, "go.mod names k8s.io/kubernetes"
        package = "k8s.io/component-base/version"
        names = {"gitVersion": f"{version[1]}+k3s1", "gitMajor": version[2], "gitMinor": version[3]}
        flags = " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in names.items())])
        command = [
            "nice",
            "go",
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-tags=providerless",
            f"-ldflags={flags}",
            "-o",
            str(out / "k3s"),
            ".",
        ]
        run(command, cwd=HERE, env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})

    return build("k3s", SOURCES, {}, make)

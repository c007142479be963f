"""Builds a program out of a published Go module, exactly as published: its own go.mod and go.sum pin what it is built from."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lab.shell import LabError, run


@dataclass(frozen=True)
class Module:
    """A module version, its archive's checksum (as in a go.sum line), the program's package, files to replace and build tags."""

    path: str
    version: str
    sum: str
    package: str
    replace: dict[str, Path] = field(default_factory=dict)
    tags: str = ""


def compile_module(module: Module, out: Path) -> None:
    """Build a static binary. A downloaded archive of another checksum is refused."""
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        download = json.loads(run(["go", "mod", "download", "-json", f"{module.path}@{module.version}"], cwd=Path(scratch)))
        if download["Sum"] != module.sum:
            raise LabError(f"{module.path}@{module.version} has checksum {download['Sum']}, lab/images/build.py pins {module.sum}")
        source = Path(scratch) / "source"  # a copy: the module cache is read-only, and `go build` wants to be inside the module
        shutil.copytree(download["Dir"], source)
        for name, replacement in module.replace.items():
            shutil.copy(replacement, source / name)
        go_build(source, module.package, out, module.tags)


def go_build(source: Path, package: str, out: Path, tags: str = "") -> None:
    """`go build` a static, stripped, reproducible binary at a low priority."""
    command = ["nice", "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", f"-tags={tags}", "-o", str(out), package]
    run(command, cwd=source, env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"})

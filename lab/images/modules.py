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


def download(module: Module) -> Path:
    """The module's directory in Go's cache, read-only. A downloaded archive of another checksum is refused."""
    with tempfile.TemporaryDirectory() as outside:  # of any module
        found = json.loads(run(["go", "mod", "download", "-json", f"{module.path}@{module.version}"], cwd=Path(outside)))
    if found["Sum"] != module.sum:
        raise LabError(f"{module.path}@{module.version} has checksum {found['Sum']}, the lab pins {module.sum}")
    return Path(found["Dir"])


def compile_module(module: Module, out: Path, cgo: bool = False) -> None:
    """Build a binary, static unless with C."""
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        source = Path(scratch) / "source"  # a copy: the module cache is read-only, and `go build` wants to be inside the module
        shutil.copytree(download(module), source)
        for name, replacement in module.replace.items():
            (source / name).parent.mkdir(exist_ok=True)
            shutil.copy(replacement, source / name)
        go_build(source, module.package, out, module.tags, cgo)


def go_build(source: Path, package: str, out: Path, tags: str = "", cgo: bool = False) -> None:
    """`go build` a stripped, reproducible binary at a low priority; static unless with C."""
    command = ["nice", "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", f"-tags={tags}", "-o", str(out), package]
    run(command, cwd=source, env=os.environ | {"CGO_ENABLED": str(int(cgo)), "GOFLAGS": "-mod=readonly", "GOWORK": "off"})

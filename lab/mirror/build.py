"""What the mirror host serves: everything the lab built, under the paths that artifacts.yml gives it upstream."""

import hashlib
import importlib
import json
import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from lab import paths
from lab.build import build

HERE = Path(__file__).parent
PARTS = {
    "k3s": "lab.k3s.build",
    "chart": "lab.gpu_operator.build",
    "nvidia": "lab.nvidia.build",
    "registry": "lab.images.build",
    "index": "lab.python_index.build",
    "model": "lab.model.build",
    "packages": "lab.mirror.packages",
}
SERVERS = ["hub.py", "hub.service", "nginx.conf", "registry.yml"]


def artifact() -> Path:
    """A directory with files/ (HOST/PATH), registry/ (docker-registry's storage), hub/ (REPO/REVISION) and what serves them."""
    parts = {name: importlib.import_module(module).artifact() for name, module in PARTS.items()}

    def make(out: Path) -> None:
        declared = yaml.safe_load((paths.REPO / "artifacts.yml").read_text())
        files = out / "files"
        _link(parts["nvidia"], files)
        _link(parts["index"], files / "python")
        k3s = declared["files"]["k3s"]
        _link(parts["k3s"] / "k3s", _place(files, k3s["url"]))
        digest = hashlib.sha256((parts["k3s"] / "k3s").read_bytes()).hexdigest()
        _place(files, k3s["checksums"]).write_text(f"{digest}  k3s\n")
        chart = _place(files, declared["charts"]["gpu_operator"]["url"])
        _link(parts["chart"] / chart.name, chart)
        _link(parts["registry"], out / "registry")
        _link(parts["model"], out / "hub")
        _link(parts["packages"], out / "packages")
        (out / "hub.json").write_text(json.dumps(_revisions(out / "hub"), indent=1))
        for name in SERVERS:
            shutil.copy(HERE / name, out)

    inputs = [HERE / name for name in ("build.py", *SERVERS)]
    return build("mirror", [*inputs, paths.REPO / "artifacts.yml"], {name: part.name for name, part in parts.items()}, make)


def _place(files: Path, url: str) -> Path:
    parts = urlsplit(url)
    place = files / parts.netloc / unquote(parts.path).lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name: hard links, since builds lie on one file system."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    else:
        os.link(source, target)


def _revisions(hub: Path) -> dict[str, dict[str, list[dict[str, object]]]]:
    """Repository -> revision -> files as the hub tells of them: path, size, git's blob id, and the sha256 of those in LFS."""
    answer: dict[str, dict[str, list[dict[str, object]]]] = {}
    for revision in sorted(path for path in hub.glob("*/*/*") if path.is_dir()):
        files: list[dict[str, object]] = []
        for file in sorted(path for path in revision.rglob("*") if path.is_file()):
            data, name = file.read_bytes(), str(file.relative_to(revision))
            entry: dict[str, object] = {"path": name, "size": len(data)}
            if name.endswith((".safetensors", ".gguf")):
                entry["lfs"] = hashlib.sha256(data).hexdigest()
                data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{entry['lfs']}\nsize {len(data)}\n".encode()
                entry["pointer"] = len(data)
            entry["blob"] = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            files.append(entry)
        answer.setdefault("/".join(revision.parts[-3:-1]), {})[revision.name] = files
    return answer

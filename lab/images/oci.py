"""Writes container images, without a container engine, into the storage that Debian's docker-registry serves."""

import gzip
import hashlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Image:
    """One single-layer image: reference HOST/NAME:TAG, the directory that becomes its layer, and its OCI configuration."""

    reference: str
    root: Path
    entrypoint: list[str]
    command: list[str] = field(default_factory=list)
    user: str = "0"
    env: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"


class Storage:
    """The registry's filesystem driver layout. Repositories are named HOST/NAME, so that one registry mirrors many."""

    def __init__(self, root: Path) -> None:
        self.base = root / "docker/registry/v2"

    def add(self, image: Image) -> str:
        """Store an image and return its manifest's digest. The same root gives the same digest on every build."""
        repository, _, tag = image.reference.rpartition(":")
        tar = _tar(image.root)
        layer = gzip.compress(tar, compresslevel=1, mtime=0)
        config = _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {
                    "Entrypoint": image.entrypoint,
                    "Cmd": image.command,
                    "User": image.user,
                    "StopSignal": image.stop_signal,
                    "Env": [f"{name}={value}" for name, value in ({"PATH": PATH} | image.env).items()],
                },
                "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": self._blob(repository, config, "application/vnd.oci.image.config.v1+json"),
                "layers": [self._blob(repository, layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
            }
        )
        digest = _digest(manifest)
        self._data(manifest)
        manifests = self.base / "repositories" / repository / "_manifests"
        for link in ("revisions/sha256/" + digest[7:], f"tags/{tag}/current", f"tags/{tag}/index/sha256/{digest[7:]}"):
            _link(manifests / link, digest)
        return digest

    def _blob(self, repository: str, data: bytes, media_type: str) -> dict[str, Any]:
        digest = self._data(data)
        _link(self.base / "repositories" / repository / "_layers/sha256" / digest[7:], digest)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _data(self, data: bytes) -> str:
        digest = _digest(data)
        path = self.base / "blobs/sha256" / digest[7:9] / digest[7:] / "data"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest


def _link(directory: Path, digest: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(digest)


def _tar(root: Path) -> bytes:
    same_everywhere = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]
    return subprocess.run(["tar", *same_everywhere, "--create", "--directory", root, "."], stdout=subprocess.PIPE, check=True).stdout


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()

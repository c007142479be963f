"""Reads a host's disks, mounts, exports, and the model store."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.probe import ROOT, run, sha256, text

SAMPLE = 1 << 20  # bytes of one read


def disks(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Of the file system that holds each path, or its nearest parent: size and free space in MiB, inodes, what it is and how it is mounted.

    inside: mount points below the path. rotational: whether its disk spins; None where there is none to be seen.
    """
    found = {}
    mounts = sorted(mount_table(), key=lambda mount: len(mount["target"]))
    for path in paths:
        place = Path(path)
        while not place.exists():
            place = place.parent
        place = place.resolve()
        usage = os.statvfs(place)
        holders = [mount for mount in mounts if place.is_relative_to(mount["target"])]
        found[path] = {
            "size_mib": usage.f_blocks * usage.f_frsize >> 20,
            "free_mib": usage.f_bavail * usage.f_frsize >> 20,
            "inodes": usage.f_files,
            "inodes_free": usage.f_favail,
            "fstype": holders[-1]["fstype"] if holders else "",
            "options": holders[-1]["options"] if holders else [],
            "inside": [mount["target"] for mount in mounts if Path(path).exists() and place in Path(mount["target"]).parents],
            "rotational": rotational(holders[-1]["source"]) if holders else None,
        }
    return found


def rotational(source: str, root: Path = ROOT) -> bool | None:
    """Whether a block device spins, by its disk's queue or that of the first one below it (LVM, RAID, encryption)."""
    device = (root / "sys/class/block" / Path(source).resolve().name).resolve()
    for _ in range(4):
        for disk in (device, device.parent):
            if (disk / "queue/rotational").exists() and not list((disk / "slaves").glob("*")):
                return text(disk / "queue/rotational") == "1"
        below = sorted((device / "slaves").glob("*"))
        if not below:
            return None
        device = below[0].resolve()
    return None


def exports(root: Path = ROOT) -> list[dict[str, Any]]:
    """What this host exports, by the files of the kernel's server and of ganesha: file, path, read_only and root_squash of each client."""
    found = []
    for file in (root / "etc/exports", *sorted((root / "etc/exports.d").glob("*.exports"))):
        for line in re.sub(r"\\\n", " ", text(file)).splitlines():
            path, _, clients = line.partition("#")[0].strip().partition(" ")
            for client in clients.split():
                options = client.partition("(")[2].rstrip(")").split(",")
                squashed = "no_root_squash" not in options
                found.append(_export(file, root, path.strip('"'), "rw" not in options, squashed))
    file = root / "etc/ganesha/ganesha.conf"
    for block in re.split(r"(?m)^\s*EXPORT\s*\{", re.sub(r"#.*", "", text(file)))[1:]:
        path = re.search(r"(?<!\w)Path\s*=\s*([^;\s]+)", block)
        access = re.findall(r"Access_Type\s*=\s*(\w+)", block, re.I)
        squash = re.findall(r"(?<!\w)Squash\s*=\s*(\w+)", block, re.I)
        open_to_root = any(word.lower() in ("no_root_squash", "none") for word in squash)
        if path:
            found.append(_export(file, root, path.group(1), "rw" not in [word.lower() for word in access], not open_to_root))
    return found


def _export(file: Path, root: Path, path: str, read_only: bool, root_squash: bool) -> dict[str, Any]:
    return {"file": f"/{file.relative_to(root)}", "path": path, "read_only": read_only, "root_squash": root_squash}


def read_speed(revisions: list[str]) -> dict[str, Any] | None:
    """Speed in MB/s of reading the largest file of the published revisions past the page cache; None where there is nothing to read."""
    files = [path for revision in revisions for path in Path(revision).glob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size, default=None)
    if not largest or largest.stat().st_size < SAMPLE:
        return None
    count = f"count={min(64, largest.stat().st_size // SAMPLE)}"
    started = time.monotonic()
    code, _, _ = run("dd", f"if={largest}", "of=/dev/null", f"bs={SAMPLE}", count, "iflag=direct", "status=none", timeout=20)
    took = time.monotonic() - started
    return {"file": str(largest), "mb_per_s": round(int(count[6:]) * SAMPLE / 1e6 / took, 1)} if code == 0 and took > 0 else None


def mount_table(root: Path = ROOT) -> list[dict[str, Any]]:
    """Every mount, in the kernel's order."""
    rows = [line.split(" ") for line in text(root / "proc/self/mounts").splitlines()]
    return [{"source": row[0], "target": _unescape(row[1]), "fstype": row[2], "options": row[3].split(",")} for row in rows if len(row) > 3]


def network_mounts() -> list[dict[str, Any]]:
    """Those of network and FUSE file systems."""
    return [mount for mount in mount_table() if mount["fstype"].startswith(("nfs", "fuse."))]


def _unescape(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), name)


def store(revisions: list[str]) -> dict[str, dict[str, Any] | None]:
    """Per published revision: the SHA-256 of its manifest and how many files it names; None where it is not published."""
    found: dict[str, dict[str, Any] | None] = {}
    for path in revisions:
        manifest = Path(path) / "MANIFEST.sha256"
        found[path] = {"manifest_sha256": sha256(manifest), "files": len(text(manifest).splitlines())} if manifest.exists() else None
    return found

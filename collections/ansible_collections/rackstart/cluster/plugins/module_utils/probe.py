"""Reads what a host is and has, without changing it. Tests bring their own root of the file system."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path("/")
NVIDIA_VENDOR = "0x10de"
GPU_CLASSES = ("0x0300", "0x0302")  # display and 3D controllers
SMI_FIELDS = ("index", "uuid", "name", "memory.total", "driver_version", "pci.bus_id")
TEMPLATES = "var/lib/rancher/k3s/agent/etc/containerd"


def text(path: Path) -> str:
    """Stripped content of a file, empty when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def run(*argv: str, timeout: float = 60) -> tuple[int | None, str, str]:
    """Return code, output and error of a command; the code is None when it is not there or does not end within `timeout` seconds."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    except FileNotFoundError:
        return None, "", f"{argv[0]} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, "", str(error)
    return done.returncode, done.stdout, done.stderr


def identity(root: Path = ROOT) -> dict[str, Any]:
    """Who the host is: names, operating system, size, cgroups."""
    release = dict(re.findall(r'^(ID|VERSION_ID|PRETTY_NAME)="?([^"\n]*)"?$', text(root / "etc/os-release"), re.M))
    memory = re.search(r"^MemTotal:\s+(\d+) kB", text(root / "proc/meminfo"), re.M)
    kernel = os.uname()
    return {
        "hostname": socket.gethostname(),
        "machine_id": text(root / "etc/machine-id"),
        "boot_id": text(root / "proc/sys/kernel/random/boot_id"),
        "os": {"id": release.get("ID", ""), "version_id": release.get("VERSION_ID", ""), "name": release.get("PRETTY_NAME", "")},
        "kernel": kernel.release,
        "kernel_packaged": (root / f"boot/vmlinuz-{kernel.release}").exists(),  # else there are no headers of it to build modules with
        "arch": kernel.machine,
        "cpu_count": os.cpu_count(),
        "memory_mib": int(memory.group(1)) // 1024 if memory else 0,
        "sudo": os.geteuid() == 0,
        "cgroup_controllers": cgroup_controllers(root),
    }


def cgroup_controllers(root: Path = ROOT) -> list[str]:
    """Controllers that a kubelet can use: those of the unified hierarchy, or of version 1."""
    unified = text(root / "sys/fs/cgroup/cgroup.controllers").split()
    version_1 = [line.split()[0] for line in text(root / "proc/cgroups").splitlines() if not line.startswith("#") and line.endswith("1")]
    return sorted({*unified, *version_1})


def pci_gpus(root: Path = ROOT) -> list[dict[str, str]]:
    """NVIDIA GPUs on the PCI bus: slot and device id."""
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        if text(device / "vendor") == NVIDIA_VENDOR and text(device / "class").startswith(GPU_CLASSES):
            found.append({"slot": device.name, "device_id": text(device / "device")})
    return found


def parse_smi(output: str) -> list[dict[str, Any]]:
    """Rows of nvidia-smi's CSV query of SMI_FIELDS; memory in MiB."""
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
    return [
        {"index": int(row[0]), "uuid": row[1], "name": row[2], "memory_mib": int(float(row[3])), "driver_version": row[4], "slot": row[5]}
        for row in rows
        if len(row) == len(SMI_FIELDS) and row[0].isdigit()
    ]


def gpu(root: Path = ROOT) -> dict[str, Any]:
    """GPUs by the bus and by the driver; `nvidia_smi.rc` is None where there is no nvidia-smi."""
    code, output, error = run("nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader,nounits")
    gpus = parse_smi(output) if code == 0 else []
    reason = "" if code == 0 else (error or output).strip()
    return {
        "pci_gpus": pci_gpus(root),
        "nvidia_smi": {"rc": code, "gpus": gpus, "error": reason},
        "driver_version": gpus[0]["driver_version"] if gpus else None,
        "nouveau_loaded": (root / "sys/module/nouveau").exists(),
    }


def disks(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Size and free space in MiB, free inodes and type of the file system that holds each path (or its nearest parent)."""
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
            "inodes_free": usage.f_favail,
            "fstype": holders[-1]["fstype"] if holders else "",
        }
    return found


def mount_table(root: Path = ROOT) -> list[dict[str, Any]]:
    """Every mount, in the kernel's order."""
    rows = [line.split(" ") for line in text(root / "proc/self/mounts").splitlines()]
    return [{"source": row[0], "target": _unescape(row[1]), "fstype": row[2], "options": row[3].split(",")} for row in rows if len(row) > 3]


def _unescape(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), name)


def addresses() -> list[str]:
    """The host's own addresses, loopback left out."""
    _code, output, _error = run("ip", "-json", "address", "show")
    links = json.loads(output) if output else []
    return [entry["local"] for link in links if link.get("ifname") != "lo" for entry in link.get("addr_info", [])]


def listeners(root: Path = ROOT) -> list[dict[str, Any]]:
    """Ports something listens on, with the process and the systemd unit that hold them where they can be seen."""
    sockets: dict[str, tuple[str, int]] = {}
    for table, protocol, state in (("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")):
        for line in text(root / f"proc/net/{table}").splitlines()[1:]:
            row = line.split()
            if row[3] == state:
                sockets[row[9]] = (protocol, int(row[1].rpartition(":")[2], 16))
    holders = _holders(root, set(sockets))
    found = {(*key, *holders.get(inode, ("", ""))) for inode, key in sockets.items()}
    return [{"protocol": item[0], "port": item[1], "process": item[2], "unit": item[3]} for item in sorted(found)]


def _holders(root: Path, inodes: set[str]) -> dict[str, tuple[str, str]]:
    found = {}
    for process in (root / "proc").glob("[0-9]*"):
        try:
            links = [os.readlink(handle) for handle in (process / "fd").iterdir()]
        except OSError:  # it ended, or belongs to another user
            continue
        mine = inodes.intersection(link[8:-1] for link in links if link.startswith("socket:["))
        if mine:
            units = re.findall(r"/([^/\n]+\.service)", text(process / "cgroup"))
            found.update(dict.fromkeys(mine, (text(process / "comm"), units[0] if units else "")))
    return found


def k3s(root: Path = ROOT) -> dict[str, Any]:
    """The k3s that is here: unit (None where there is none), whether it runs, binary's SHA-256, version, keys of config.yaml."""
    units = [name for name in ("k3s.service", "k3s-agent.service") if (root / "etc/systemd/system" / name).exists()]
    binary = root / "usr/local/bin/k3s"
    version = re.search(r"v\d\S+", run(str(binary), "--version")[1]) if binary.exists() else None
    return {
        "unit": units[0] if units else None,
        "active": bool(units) and run("systemctl", "is-active", units[0])[0] == 0,
        "binary_sha256": sha256(binary) if binary.exists() else None,
        "version": version.group(0) if version else None,
        "config_keys": re.findall(r"^([a-z0-9-]+\+?):", text(root / "etc/rancher/k3s/config.yaml"), re.M),
        "containerd_templates": sorted(str(path.relative_to(root)) for path in (root / TEMPLATES).glob("*.tmpl")),
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store(revisions: list[str]) -> dict[str, dict[str, Any] | None]:
    """Per published revision: the SHA-256 of its manifest and how many files it names; None where it is not published."""
    found: dict[str, dict[str, Any] | None] = {}
    for path in revisions:
        manifest = Path(path) / "MANIFEST.sha256"
        found[path] = {"manifest_sha256": sha256(manifest), "files": len(text(manifest).splitlines())} if manifest.exists() else None
    return found


def answers(urls: list[str], timeout: float = 5) -> dict[str, str]:
    """What each URL answers from this host within `timeout` seconds: a status, or why there is none. Any status means reachable."""
    found = {}
    for url in urls:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout) as response:
                found[url] = str(response.status)
        except urllib.error.HTTPError as error:
            found[url] = str(error.code)
        except (OSError, ValueError) as error:
            found[url] = str(getattr(error, "reason", error))
    return found

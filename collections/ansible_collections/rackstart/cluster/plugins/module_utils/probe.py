"""Reads what a host is and has, without changing it. Tests bring their own root of the file system.

This and the other probe_*.py run on the hosts, by the Python of the distribution: 3.9 on RHEL 9.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path("/")
NVIDIA_VENDOR = "0x10de"
GPU_CLASSES = ("0x0300", "0x0302")  # display and 3D controllers
SMI_FIELDS = ("index", "uuid", "name", "memory.total", "driver_version", "pci.bus_id")


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
    """Who the host is: names, operating system, size, cgroups, swap."""
    release = dict(re.findall(r'^(ID|VERSION_ID|PRETTY_NAME)="?([^"\n]*)"?$', text(root / "etc/os-release"), re.M))
    memory = re.search(r"^MemTotal:\s+(\d+) kB", text(root / "proc/meminfo"), re.M)
    kernel = os.uname()
    return {
        "hostname": socket.gethostname(),
        "static_hostname": text(root / "etc/hostname"),
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
        "swap": [line.split()[0] for line in text(root / "proc/swaps").splitlines()[1:]],
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


def _mib(cell: str) -> int:
    whole = cell.partition(".")[0]
    return int(whole) if whole.isdigit() else 0


def parse_smi(output: str) -> list[dict[str, Any]]:
    """Rows of nvidia-smi's CSV query of SMI_FIELDS; memory in MiB, 0 where the driver cannot read it ([Unknown Error])."""
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
    return [
        {"index": int(row[0]), "uuid": row[1], "name": row[2], "memory_mib": _mib(row[3]), "driver_version": row[4], "slot": row[5]}
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


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

"""Reads how a host's GPUs are: their links, memory windows, errors, and what a driver needs to be built."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.probe import NVIDIA_VENDOR, ROOT, pci_gpus, run, text

BRIDGE_CLASS = "0x0680"  # an NVSwitch's
FIELDS = (
    "index", "ecc.errors.uncorrected.volatile.total", "remapped_rows.pending", "remapped_rows.failure", "mig.mode.current", "memory.used",
)  # fmt: skip
NO_CACHE = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")  # apt-cache would write them
UNASSIGNED = 0x20000000  # IORESOURCE_UNSET
XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\): (\d+)")
RECORDS = 200_000  # of the kernel's log at most


def health(root: Path = ROOT) -> dict[str, Any]:
    """Links and windows by slot; Xids of the kernel's log, or None; smi, nvidia-smi's rows by index, or None; and what builds modules."""
    gpus = [gpu["slot"] for gpu in pci_gpus(root)]
    return {
        "links": {slot: link(root / "sys/bus/pci/devices" / slot) for slot in gpus},
        "bars": {slot: bars(root / "sys/bus/pci/devices" / slot) for slot in gpus},
        "xids": xids(root) if gpus else [],
        "smi": parse_health(run("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")[1]) if gpus else None,
        "switches": switches(root),
        "iommu": iommu(root),
        "headers": headers(root) if gpus else None,
        "modules": modules(root),
        "runfile": runfile(root),
    }


def modules(root: Path = ROOT) -> str:
    """Kind of the driver's kernel modules that are loaded, or nothing where none are."""
    told = re.search(r"^NVRM version: (.*)", text(root / "proc/driver/nvidia/version"), re.M)
    return "" if not told else "open" if "Open Kernel Module" in told[1] else "proprietary"


def runfile(root: Path = ROOT) -> bool:
    """The driver came by NVIDIA's installer."""
    return (root / "usr/bin/nvidia-uninstall").exists()


def switches(root: Path = ROOT) -> int:
    """NVSwitches: NVIDIA's bridges on the PCI bus; from NVLink 5 on, network adapters whose vital product data names switch management."""
    devices = [*(root / "sys/bus/pci/devices").glob("*")]
    bridges = [device for device in devices if text(device / "class").startswith(BRIDGE_CLASS)]
    managers = [path for path in (root / "sys/class/infiniband").glob("*/device/vpd") if "SW_MNG" in text(path)]
    return sum(text(device / "vendor") == NVIDIA_VENDOR for device in bridges) + len(managers)


def link(device: Path) -> dict[str, Any] | None:
    """Lanes now and at most, speed of the card and of the slot it is in (GT/s); None where sysfs does not say."""
    width, most, speed = (text(device / name) for name in ("current_link_width", "max_link_width", "max_link_speed"))
    if not (width.isdigit() and most.isdigit()):
        return None
    slot = text(device.resolve().parent / "max_link_speed")
    return {"width": int(width), "most": int(most), "speed": _speed(speed), "slot": _speed(slot)}


def _speed(words: str) -> float | None:
    number = re.match(r"[\d.]+", words)
    return float(number.group()) if number else None


def bars(device: Path) -> list[dict[str, Any]] | None:
    """The card's memory windows: size in MiB and whether the firmware found room for it; None where sysfs does not say."""
    rows = [[int(value, 16) for value in line.split()] for line in text(device / "resource").splitlines()[:6]]
    found = [(end - start + 1 >> 20, start != 0 and not flags & UNASSIGNED) for start, end, flags in rows if flags]
    return [{"mib": size, "assigned": assigned} for size, assigned in found] or None


def xids(root: Path = ROOT) -> list[dict[str, Any]] | None:
    """Each Xid of the kernel's log with its slot and how often; None when the log is empty or may not be read."""
    seen: dict[tuple[str, int], int] = {}
    records = kernel_log(root / "dev/kmsg") or run("dmesg")[1]
    for slot, number in XID.findall(records):
        seen[slot, int(number)] = seen.get((slot, int(number)), 0) + 1
    return [{"slot": slot, "xid": number, "times": times} for (slot, number), times in sorted(seen.items())] if records else None


def kernel_log(path: Path) -> str:
    """All that is in the kernel's log now; empty when it cannot be read."""
    records: list[bytes] = []
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        while len(records) < RECORDS and (record := _record(handle)):
            records.append(record)
    finally:
        os.close(handle)
    return b"".join(records).decode(errors="replace")


def _record(handle: int) -> bytes:
    try:
        return os.read(handle, 8192)
    except BrokenPipeError:  # overwritten while it was read: the next one is there
        return b"-\n"
    except OSError:  # the end of the log
        return b""


def parse_health(output: str) -> dict[str, dict[str, Any]] | None:
    """Rows of FIELDS by index; a field that the card does not have is None. None when nvidia-smi says nothing."""
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()]
    whole = [row for row in rows if len(row) == len(FIELDS) and row[0].isdigit()]
    names = ("ecc", "pending", "failed", "mig", "used_mib")
    return {row[0]: {name: _cell(row[place]) for place, name in enumerate(names, 1)} for row in whole} or None


def _cell(cell: str) -> int | bool | None:
    words = {"yes": True, "enabled": True, "no": False, "disabled": False}
    return int(cell) if cell.isdigit() else words.get(cell.lower())


def iommu(root: Path = ROOT) -> str | None:
    """off, passthrough or translating; None where sysfs does not say."""
    groups = root / "sys/kernel/iommu_groups"
    if not groups.exists():
        return None
    if not any(groups.iterdir()):
        return "off"
    types = {text(group / "type") for group in groups.iterdir()}
    return "passthrough" if types <= {"identity"} else "translating"


def headers(root: Path = ROOT) -> str | None:
    """installed, offered or missing: headers of the running kernel; None where only apt could be asked and there is none."""
    release = os.uname().release
    if (root / "lib/modules" / release / "build").exists():
        return "installed"
    if not (root / "boot" / f"vmlinuz-{release}").exists():
        return "missing"  # a kernel that came in no package has no package of headers
    code, output, _ = run("apt-cache", *NO_CACHE, "policy", f"linux-headers-{release}")
    if code is None:
        return None
    return "offered" if re.search(r"Candidate: (?!\(none\))\S", output) else "missing"

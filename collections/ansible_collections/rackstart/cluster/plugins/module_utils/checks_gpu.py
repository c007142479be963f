"""Preflight's checks of each GPU host's cards and driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import driver
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, probed, told

SMALLEST = 1024  # MiB; a number below is GiB
IDLE = 1024  # MiB that a GPU nobody uses may hold
UNSEEN = "sysfs does not say"


def check(look: Look) -> Iterator[Finding]:
    for name, host, probe in probed(look, "gpu"):
        yield from _cards(name, host, probe)
        yield from _driver(name, host, probe, look)
        yield from _built(name, probe)
        yield from _bus(name, probe)
        yield from _health(name, probe)


def _cards(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    count, declared = len(probe["pci_gpus"]), host["gpu_count"]
    yield finding("gpu.declared", name, host["gpu_memory_mib"] >= SMALLEST, host["gpu_memory_mib"], name=name)
    yield finding("gpu.count", name, count == declared, f"{count} on the PCI bus", name=name, count=declared)
    models = Counter(gpu["device_id"] for gpu in probe["pci_gpus"])
    yield finding("gpu.alike", name, len(models) < 2, told(f"{times} x 10de:{model[2:]}" for model, times in models.items()))


def _driver(name: str, host: dict[str, Any], probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    if probe["pci_gpus"]:  # what has none is red already, or declared so
        ok, seen, remedy = driver.check(probe, look["driver"]["version"], look["driver"]["modules"])
        yield finding("gpu.driver", name, ok, seen, remedy=remedy)
    yield finding("gpu.nouveau", name, not probe["nouveau_loaded"], "loaded" if probe["nouveau_loaded"] else "not loaded")
    smi = probe["nvidia_smi"]
    if smi["rc"] is None:
        yield finding("gpu.smi", name, None, "no driver yet")
        yield finding("gpu.memory", name, None, "no driver yet", least=host["gpu_memory_mib"], name=name)
    else:
        yield finding("gpu.smi", name, smi["rc"] == 0, f"exit {smi['rc']}{': ' + smi['error'] if smi['error'] else ''}")
    for gpu in smi["gpus"]:
        ok = gpu["memory_mib"] >= host["gpu_memory_mib"]
        yield finding("gpu.memory", f"{name}/{gpu['index']}", ok, f"{gpu['memory_mib']} MiB", least=host["gpu_memory_mib"], name=name)


def _built(name: str, probe: dict[str, Any]) -> Iterator[Finding]:
    """What a driver is built with and loaded by."""
    health, secure = probe["health"], probe["secure_boot"]
    state = health["headers"]
    yield finding("gpu.headers", name, None if state is None else state != "missing", f"{state or 'not seen'}, for {probe['kernel']}")
    yield finding("gpu.runfile", name, not health["runfile"], "/usr/bin/nvidia-uninstall" if health["runfile"] else "none")
    loaded = probe["nvidia_smi"]["rc"] == 0
    words = {None: "the firmware cannot be asked", False: "off", True: f"on, the driver is {'loaded' if loaded else 'not loaded'}"}
    yield finding("gpu.secure_boot", name, None if secure is None else loaded or not secure, words[secure])
    if health["switches"]:
        state = probe["units"].get("nvidia-fabricmanager", "unknown")
        seen = f"{health['switches']} NVSwitches, fabric manager {state}"
        yield finding("gpu.fabric", name, state == "active" if loaded else None, seen if loaded else "no driver yet")


def _bus(name: str, probe: dict[str, Any]) -> Iterator[Finding]:
    health = probe["health"]
    for slot, link in health["links"].items():
        target = f"{name}/{slot}"
        if link is None:
            yield finding("gpu.pcie_width", target, None, UNSEEN, most="all")
            yield finding("gpu.pcie_speed", target, None, UNSEEN, most="the full speed")
            continue
        yield finding("gpu.pcie_width", target, link["width"] >= link["most"], f"{link['width']} lanes", most=link["most"])
        known = link["slot"] is not None and link["speed"] is not None
        seen, most = f"slot of {link['slot']} GT/s" if known else UNSEEN, f"{link['speed']} GT/s"
        yield finding("gpu.pcie_speed", target, link["slot"] >= link["speed"] if known else None, seen, most=most)
    for slot, bars in health["bars"].items():
        lost = [f"{bar['mib']} MiB without a place" for bar in bars or [] if not bar["assigned"]]
        sizes = told(f"{bar['mib']} MiB" for bar in bars or [] if bar["mib"])
        yield finding("gpu.bar", f"{name}/{slot}", not lost if bars else None, (told(lost) if lost else sizes) if bars else UNSEEN)
    if len(probe["pci_gpus"]) > 1:
        yield finding("gpu.iommu", name, None if health["iommu"] is None else health["iommu"] != "translating", health["iommu"] or UNSEEN)


def _health(name: str, probe: dict[str, Any]) -> Iterator[Finding]:
    xids, smi = probe["health"]["xids"], probe["health"]["smi"]
    counted = told(f"Xid {x['xid']} at {x['slot']}, {x['times']} times" for x in xids or [])
    yield finding("gpu.xid", name, None if xids is None else not xids, "the kernel's log is empty or closed" if xids is None else counted)
    unasked = {"ecc": None, "pending": None, "failed": None, "mig": None, "used_mib": None}
    for index, row in (smi or {"*": unasked}).items():
        target, none = f"{name}/{index}", "the card does not say" if smi else "no driver to ask"
        yield finding("gpu.ecc", target, None if row["ecc"] is None else row["ecc"] == 0, none if row["ecc"] is None else row["ecc"])
        states = (row["pending"], row["failed"])
        wrong = [word for word, state in zip(("pending", "failed"), states, strict=True) if state]
        yield finding("gpu.row_remap", target, None if None in states else not wrong, none if None in states else told(wrong))
        mig = {None: none, True: "on", False: "off"}[row["mig"]]
        yield finding("gpu.mig", target, None if row["mig"] is None else not row["mig"], mig, index=index)
        if not probe["k3s"]["active"]:
            used = row["used_mib"]
            yield finding("gpu.in_use", target, None if used is None else used < IDLE, none if used is None else f"{used} MiB")

"""Which driver a host gets, from its GPUs and what the inventory asks for; or why none can drive them. Pure functions.

Sources: NVIDIA's Driver Installation Guide (the open kernel modules are the default from 560 on, the proprietary ones end before 620),
and its list of supported drivers (580 is the oldest branch that is maintained).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.gpus import Gpu, find

Plan = dict[str, Any]

VERSION = re.compile(r"\d{3}(\.\d+){0,2}(-\S+)?")
MADE_FOR_A_KERNEL = re.compile(r"\{(kernel|flavour)\}")
OLDEST = 580  # of the branches that are maintained, and the first whose packages have the names of today
OPEN_BY_DEFAULT, NO_PROPRIETARY = 560, 620
FABRIC = {"": "", "nvswitch": "Fabric Manager", "nvlink5": "Fabric Manager and NVLSM"}
DRIVER = ("driver", "open", "proprietary")  # of a table's parts those that are the driver itself
APART = "no driver drives these GPUs together: put them into hosts of their own"


def number(version: str) -> str:
    """580.173.02 of 580.173.02-1."""
    return version.partition("-")[0]


def branch(version: str) -> int:
    """580 of 580.173.02-1."""
    return int(version.partition(".")[0])


def _older(version: str, first: str) -> bool:
    """A bare branch stands for its newest version."""
    parts = [int(part) for part in number(version).split(".")]
    return parts < [int(part) for part in first.split(".")][: len(parts)]


def _unfit(gpu: Gpu, version: str) -> str:
    """Why a version does not drive a GPU, or nothing."""
    if gpu.last and branch(version) > gpu.last:
        return f"{gpu.model} ({gpu.generation}) is driven by no branch after {gpu.last}"
    if _older(version, gpu.first):
        return f"{gpu.model} ({gpu.generation}) needs {gpu.first} or later"
    return ""


def _kinds(gpus: list[Gpu], version: str) -> list[str]:
    """Kinds of kernel modules that drive all of them in this version, the default first."""
    order = ["open", "proprietary"] if branch(version) >= OPEN_BY_DEFAULT else ["proprietary", "open"]
    kinds = [kind for kind in order if all(kind in gpu.modules for gpu in gpus)]
    return [kind for kind in kinds if kind == "open" or branch(version) < NO_PROPRIETARY]


def _likely(gpu: Gpu) -> str:
    """What NVSwitches take beside a GPU whose board is not listed: NVLink 5 came with Blackwell."""
    return "nvlink5" if gpu.generation == "Blackwell" else "nvswitch"


def _refuse(seen: str, remedy: str) -> Plan:
    return {"ok": False, "seen": seen, "remedy": remedy}


def _adopted(gpus: list[Gpu], wanted: str, modules: str, present: dict[str, Any]) -> bool:
    """A driver that came by other means stays when it is of the wanted branch and drives every GPU."""
    there = present.get("version")
    if not there or present.get("ours") or branch(there) != branch(wanted) or any(_unfit(gpu, there) for gpu in gpus):
        return False
    kind = present.get("modules") or modules
    return modules in ("auto", kind) and (kind == "auto" or kind in _kinds(gpus, there))


def resolve(devices: list[str], wanted: str, modules: str = "auto", present: dict[str, Any] | None = None, switches: bool = False) -> Plan:
    """What the host gets: {ok, seen, remedy}, and when ok also {version, branch, modules, fabric, adopt}.

    devices: PCI device ids of the host's GPUs. wanted: a version or a branch. modules: open, proprietary or auto. switches: the host has
    NVSwitches. present, the driver that is there: version, modules (open, proprietary or empty), ours (its packages are those that the
    role installs), runfile (it came by NVIDIA's installer), fabric_manager (its version); each may be missing.
    """
    present = present or {}
    if not VERSION.fullmatch(wanted):
        return _refuse(f"{wanted!r} is no version", "set gpu_driver_version to a version or a branch, such as 580.173.02-1 or 580")
    if not devices:
        return _refuse("no NVIDIA GPU on the PCI bus", "reseat the card (lspci -d 10de:), or take the host out of group gpu")
    unknown = sorted({device for device in devices if not find(device)})
    if unknown and modules == "auto":
        remedy = "take a newer Rackstart, or set gpu_kernel_modules to open or proprietary, which takes the GPU on trust"
        return _refuse(f"unknown device 10de:{', 10de:'.join(device.removeprefix('0x') for device in unknown)}", remedy)
    found = [gpu for device in devices if (gpu := find(device))]
    gpus = list({gpu.device: gpu for gpu in found}.values())
    names = ", ".join(f"{count} x {model}" for model, count in Counter(gpu.model for gpu in found).items()) or "GPUs taken on trust"

    if not any(all(kind in gpu.modules for gpu in gpus) for kind in ("open", "proprietary")):
        each = [f"{gpu.model} is driven by the {gpu.modules[0]} kernel modules alone" for gpu in gpus if len(gpu.modules) == 1]
        return _refuse("; ".join(each), APART)
    refused = [reason for gpu in gpus if (reason := _unfit(gpu, wanted))]
    if refused:
        return _refuse(f"{wanted} is wanted, but {'; '.join(refused)}", _window(gpus))
    kinds = _kinds(gpus, wanted)
    if modules != "auto" and modules not in kinds:
        only = "; ".join(f"{gpu.model} is not driven by them" for gpu in gpus if modules not in gpu.modules)
        seen = f"{modules} kernel modules are wanted, but {only or f'{wanted} has none'}"
        return _refuse(seen, f"set gpu_kernel_modules to {kinds[0]} or auto")

    adopt = _adopted(gpus, wanted, modules, present)
    if not adopt and branch(wanted) < OLDEST:
        return _refuse(f"{wanted} is wanted, which NVIDIA no longer maintains", f"set gpu_driver_version to branch {OLDEST} or later")
    if not adopt and present.get("runfile"):
        remedy = "run nvidia-uninstall there, or set gpu_driver_version to that branch if it drives the GPUs"
        return _refuse(f"driver {present.get('version') or 'of unknown version'} came by NVIDIA's installer", remedy)
    fabric = max((gpu.fabric or _likely(gpu) for gpu in gpus), key=list(FABRIC).index, default="nvswitch") if switches else ""
    manager = present.get("fabric_manager")
    if adopt and fabric and number(manager or "none") != number(present["version"]):
        remedy = f"install Fabric Manager {number(present['version'])}, or remove both and let Rackstart install them"
        return _refuse(f"Fabric Manager {manager or 'missing'} beside driver {present['version']}; they must be of one version", remedy)

    version = present["version"] if adopt else wanted
    kind = (adopt and present.get("modules")) or (kinds[0] if modules == "auto" else modules)
    parts = [f"{names}: driver {version}", f"{kind} kernel modules", FABRIC[fabric], "already there" if adopt else ""]
    plan = {"version": version, "branch": branch(version), "modules": kind, "fabric": fabric, "adopt": adopt}
    return {"ok": True, "seen": ", ".join(part for part in parts if part), "remedy": "", **plan}


def _window(gpus: list[Gpu]) -> str:
    """The versions that drive all of them."""
    low = max((gpu.first for gpu in gpus), key=lambda first: [int(part) for part in first.split(".")])
    high = min((gpu.last for gpu in gpus if gpu.last), default=0)
    if high == OLDEST:
        return f"set gpu_driver_version to a version of branch {high}"
    return f"set gpu_driver_version to {low} or later" + (f", up to branch {high}" if high else "")


def check(probe: dict[str, Any], wanted: str, modules: str = "auto") -> tuple[bool, str, str]:
    """(ok, seen, remedy) for a host as the module host_probe saw it: whether what the inventory asks for drives its GPUs.

    Packages are not looked at, so what the role says of their branch and of Fabric Manager's version it says later.
    """
    present = {"version": probe.get("driver_version") or "", **{name: probe["health"][name] for name in ("modules", "runfile")}}
    plan = resolve([gpu["device_id"] for gpu in probe["pci_gpus"]], wanted, modules, present)
    return plan["ok"], plan["seen"], plan["remedy"]


def pattern(wanted: str, exact: bool) -> str:
    """The versions of a package that are wanted, with wildcards. exact: the packages' revisions are those of NVIDIA's own repository."""
    if "." not in wanted:
        return f"{wanted}.*"
    return wanted if exact and "-" in wanted else f"{number(wanted)}-*"


def packages(plan: Plan, table: dict[str, Any], kernel: str, line: str) -> dict[str, list[str]]:
    """Names of a plan's packages: `pinned` have the driver's version, `floating` one of their own, `needs` are not held, `kernels` are held
    where they are installed.

    table: a distribution's entry of the role nvidia_driver; {branch}, {kernel} and {flavour} in its names are filled in.
    kernel: the running one's release; where it is empty, what is made for a kernel is left out. line: {flavour}.
    """
    parts = ["driver", plan["modules"], *{"": [], "nvswitch": ["nvswitch"], "nvlink5": ["nvswitch", "nvlink5"]}[plan["fabric"]]]
    words = {"branch": plan["branch"], "kernel": kernel, "flavour": line}
    return {
        kind: [name.format(**words) for part in parts for name in table[kind].get(part, []) if kernel or not MADE_FOR_A_KERNEL.search(name)]
        for kind in ("pinned", "floating", "needs", "kernels")
    }


def flavour(kernel: str) -> str:
    """cloud-amd64 of 6.1.0-40-cloud-amd64, which the package that follows a distribution's newest kernel is named by."""
    return re.sub(r"^[^-]*-(\d+-)?", "", kernel)


def globs(table: dict[str, Any], parts: tuple[str, ...] = ()) -> list[str]:
    """With wildcards, every package that some plan asks for; parts: of these alone."""
    kinds = (table[kind] for kind in ("pinned", "floating"))
    names = {name for kind in kinds for part, own in kind.items() if not parts or part in parts for name in own}
    return sorted({name.format(branch="[0-9]*", kernel="*", flavour="*") for name in names})

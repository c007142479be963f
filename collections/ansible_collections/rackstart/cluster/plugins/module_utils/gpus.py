"""What each of NVIDIA's GPUs needs of a driver: the look-up of one device id in gpu_table.py. Pure.

Last branch: NVIDIA's "CUDA Toolkit, Driver, and Architecture Matrix". Kernel modules: NVIDIA's Driver Installation Guide, by which the
open ones begin with Turing; Grace Hopper and Blackwell are driven by no others.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.rackstart.cluster.plugins.module_utils.gpu_table import CHIPS, MODELS

LAST = {"Maxwell": 580, "Pascal": 580, "Volta": 580}
MODULES = {**dict.fromkeys(LAST, ("proprietary",)), "Blackwell": ("open",)}


class Gpu(NamedTuple):
    """first: lowest driver version. last: the last branch that drives it, 0 while none is. fabric: "", "nvswitch" or "nvlink5"."""

    device: str
    model: str
    chip: str
    generation: str
    compute: str
    first: str
    last: int
    modules: tuple[str, ...]
    mig: bool = False
    fabric: str = ""


def _chip(device: str) -> Gpu | None:
    for row in CHIPS.strip().splitlines():
        low, high, chip, generation, compute, first = row.split()
        if low <= device <= high:
            modules = MODULES.get(generation, ("open", "proprietary"))
            return Gpu(device, f"{generation} GPU {device}", chip, generation, compute, first, LAST.get(generation, 0), modules)
    return None


def _model(row: str) -> Gpu:
    device, marks, model = row.split(" ", 2)
    chip, marked = _chip(device), marks.split(",")
    assert chip is not None, row
    return chip._replace(
        model=model,
        first=next((mark[2:] for mark in marked if mark.startswith(">=")), chip.first),
        modules=("open",) if "open" in marked else chip.modules,
        mig="mig" in marked,
        fabric=next((mark for mark in marked if mark in ("nvswitch", "nvlink5")), ""),
    )


GPUS = {gpu.device: gpu for gpu in map(_model, MODELS.strip().splitlines())}


def find(device: str) -> Gpu | None:
    """device: as sysfs or lspci write it, such as 0x20b0 or 10de:20b0. A model that is not listed is known by its chip's range, or None."""
    device = device.lower().removeprefix("10de:").removeprefix("0x")
    return GPUS.get(device) or _chip(device)

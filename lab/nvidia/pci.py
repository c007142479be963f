"""What the PCI bus of a simulated GPU host looks like: a stand-in for /sys/bus/pci/devices. Device ids are those of pci.ids."""

import json
from collections.abc import Iterator
from pathlib import Path

from lab.build import build

HERE = Path(__file__).parent
MODELS: dict[str, dict[str, str | int]] = json.loads((HERE / "models.json").read_text())
HOST_BRIDGE = {"vendor": "0x8086", "device": "0x1237", "class": "0x060000"}  # so that a reader must tell a GPU from the rest
NVIDIA_3D_CONTROLLER = {"vendor": "0x10de", "class": "0x030200"}


def devices(models: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Slot ("0000:17:00.0") and attribute files of each device on the bus."""
    yield "0000:00:00.0", HOST_BRIDGE
    for index, model in enumerate(models):
        if model not in MODELS:
            raise ValueError(f"unknown GPU model {model!r}: lab/nvidia/models.json has {', '.join(MODELS)}")
        own = {name: str(value) for name, value in MODELS[model].items() if name in ("device", "class")}
        yield f"0000:{0x17 + index:02x}:00.0", NVIDIA_3D_CONTROLLER | own


def tree(models: list[str]) -> Path:
    """A directory to mount over a host's /sys/bus/pci/devices; an empty list is a host without GPUs."""

    def make(out: Path) -> None:
        for slot, attributes in devices(models):
            (out / slot).mkdir(mode=0o755)
            for name, value in attributes.items():
                (out / slot / name).write_text(f"{value}\n")

    list(devices(models))  # an unknown model is refused before anything is made
    return build("pci", [HERE / "pci.py", HERE / "models.json"], {"models": models}, make)

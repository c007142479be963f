"""The table of GPUs: every entry is of the generation that its name says, and needs of a driver what its generation needs."""

import re
from itertools import pairwise

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import driver, gpus

# By the product's name, which the table's ranges know nothing of: generation, and compute capabilities it may have.
NAMES = [
    (r"Tesla M\d", "Maxwell", {"5.0", "5.2"}),
    (r"Tesla P\d|Quadro G?P\d|GTX 10|TITAN Xp?( Pascal)?$", "Pascal", {"6.0", "6.1"}),
    (r"Tesla G?V100|Quadro GV100|TITAN V$", "Volta", {"7.0"}),
    (r"T4G?$|Tesla T\d|RTX 20[6-8]0|Quadro RTX|TITAN RTX$", "Turing", {"7.5"}),
    (r"A100|A800|AX800|A30X?\b", "Ampere", {"8.0"}),
    (r"A(2 / A16|10[GM]?|40)$|RTX A\d|RTX 30[5-9]0", "Ampere", {"8.6"}),
    (r"^L(2|4|16|20|30|40[GS]?)$|RTX 40[5-9]0|Ada Generation", "Ada", {"8.9"}),
    (r"H(100|200|20|800)|GH200", "Hopper", {"9.0"}),
    (r"B200", "Blackwell", {"10.0"}),
    (r"B300", "Blackwell", {"10.3"}),
    (r"RTX 50[5-9]0|RTX PRO", "Blackwell", {"12.0"}),
]
# generation: last branch, kinds of kernel modules
NEEDS = {
    "Maxwell": (580, {"proprietary"}),
    "Pascal": (580, {"proprietary"}),
    "Volta": (580, {"proprietary"}),
    "Turing": (0, {"open", "proprietary"}),
    "Ampere": (0, {"open", "proprietary"}),
    "Ada": (0, {"open", "proprietary"}),
    "Hopper": (0, {"open", "proprietary"}),
    "Blackwell": (0, {"open"}),
}
# First driver by compute capability, by NVIDIA's release notes of CUDA 7.0 to 12.8, or, of what can be divided, by "Deployment
# Considerations" in its MIG User Guide; by name where a model came later, that of the RTX PRO 6000 by the GPU Operator's platform support.
FIRST = {
    "5.0": "346.46", "5.2": "346.46", "6.0": "367.48", "6.1": "367.48", "7.0": "384.81", "7.5": "410.48", "8.0": "450.80.02",
    "8.6": "455.23", "8.9": "520.61.05", "9.0": "525.85.12", "10.0": "570.133.20", "10.3": "580.82.07", "12.0": "570.26",
}  # fmt: skip
LATER = [
    (r"^A30 ", "460.73.01"), (r"^H20( |$)", "535.161.07"), (r"^H200 ", "550.90.07"), (r"^RTX PRO (5000|6000) ", "575.57.08"),
    (r"^RTX PRO 4500 ", "575.64"),
]  # fmt: skip
# NVIDIA's MIG User Guide, "Supported GPUs" and "Deployment Considerations", by the table's names.
MIG = {
    "A30 PCIe", "A100 SXM4 40GB", "A100 SXM4 80GB", "A100 PCIe 40GB", "A100 PCIe 80GB",
    "H20", "H20 HBM3e", "H20 NVL16", "H100 SXM5 80GB", "H100 SXM5 94GB", "H100 PCIe", "H100L 94GB", "H200 SXM 141GB", "H200 NVL",
    "GH200 120GB / 480GB",
    "B200", "HGX B200 168GB", "HGX GB200", "B300 SXM6 AC", "GB300",
    "RTX PRO 4500 Blackwell", "RTX PRO 4500 Blackwell Server Edition", "RTX PRO 5000 Blackwell / RTX PRO 5000 72GB Blackwell",
    "RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    "RTX PRO 6000 Blackwell Server Edition",
}  # fmt: skip
EVERY = pytest.mark.parametrize("gpu", gpus.GPUS.values(), ids=lambda gpu: f"{gpu.device} {gpu.model}")


@EVERY
def test_a_gpu_is_of_the_generation_that_its_name_says(gpu: gpus.Gpu) -> None:
    assert [(generation, gpu.compute in compute) for name, generation, compute in NAMES if re.search(name, gpu.model)] == [
        (gpu.generation, True)
    ]


@EVERY
def test_a_gpu_gets_the_driver_of_its_generation(gpu: gpus.Gpu) -> None:
    last, kinds = NEEDS[gpu.generation]
    kinds = {"open"} if gpu.model.startswith("GH200") else kinds
    assert (gpu.last, set(gpu.modules)) == (last, kinds)
    plan = driver.resolve([gpu.device], "580.173.02-1")
    assert plan["ok"], plan["seen"]
    assert plan["modules"] == ("open" if "open" in kinds else "proprietary")
    for kind in ("open", "proprietary"):
        assert driver.resolve([gpu.device], "580.173.02-1", kind)["ok"] == (kind in kinds)
    assert driver.resolve([gpu.device], "595.91.07-1")["ok"] == (last == 0)


@EVERY
def test_a_gpu_gets_no_driver_before_its_first(gpu: gpus.Gpu) -> None:
    first = next((version for name, version in LATER if re.search(name, gpu.model)), FIRST[gpu.compute])
    assert gpu.first == first
    refused = driver.resolve([gpu.device], f"{driver.branch(first) - 1}")
    assert not refused["ok"]
    assert f"needs {first} or later" in refused["seen"]


@EVERY
def test_a_gpu_on_a_board_with_nvswitches_gets_what_they_need(gpu: gpus.Gpu) -> None:
    nvlink5 = re.search(r"G?B[23]00", gpu.model)
    nvswitch = re.search(r"A[18]00.SXM4.[48]0GB|H100 SXM5|^H800$|^H20($| HBM)|H200 SXM|V100 SXM3", gpu.model)
    assert gpu.fabric == ("nvlink5" if nvlink5 else "nvswitch" if nvswitch else "")
    likely = "nvlink5" if gpu.generation == "Blackwell" else "nvswitch"  # the switches are there, whatever the table says of the board
    assert driver.resolve([gpu.device], "580", switches=True)["fabric"] == likely
    assert driver.resolve([gpu.device], "580")["fabric"] == ""


@EVERY
def test_what_can_be_divided_is_on_nvidias_list(gpu: gpus.Gpu) -> None:
    assert gpu.mig == (gpu.model in MIG)


@pytest.mark.parametrize(
    ("device", "model"),
    [
        ("0x20b0", "A100 SXM4 40GB"),
        ("10DE:20B0", "A100 SXM4 40GB"),
        ("20ff", "Ampere GPU 20ff"),  # not listed, of GA100's range
        ("0x22ba", None),  # an audio function, between GA102 and GH100
        ("0x3000", None),  # a generation that the table does not have
        ("0x0ffd", None),  # Kepler
    ],
)
def test_an_id_is_found_as_it_is_written(device: str, model: str | None) -> None:
    found = gpus.find(device)
    assert (found.model if found else None) == model


def test_ranges_do_not_overlap_and_ids_are_listed_once() -> None:
    ranges = sorted(tuple(row.split()[:2]) for row in gpus.CHIPS.strip().splitlines())
    assert all(high < low for (_, high), (low, _) in pairwise(ranges))
    assert len(gpus.GPUS) == len(gpus.MODELS.strip().splitlines())

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
# generation: last branch, kinds of kernel modules, a branch that is too early
NEEDS = {
    "Maxwell": (580, {"proprietary"}, 340),
    "Pascal": (580, {"proprietary"}, 361),
    "Volta": (580, {"proprietary"}, 375),
    "Turing": (0, {"open", "proprietary"}, 396),
    "Ampere": (0, {"open", "proprietary"}, 440),
    "Ada": (0, {"open", "proprietary"}, 515),
    "Hopper": (0, {"open", "proprietary"}, 515),
    "Blackwell": (0, {"open"}, 560),
}
EVERY = pytest.mark.parametrize("gpu", gpus.GPUS.values(), ids=lambda gpu: f"{gpu.device} {gpu.model}")


@EVERY
def test_a_gpu_is_of_the_generation_that_its_name_says(gpu: gpus.Gpu) -> None:
    assert [(generation, gpu.compute in compute) for name, generation, compute in NAMES if re.search(name, gpu.model)] == [
        (gpu.generation, True)
    ]


@EVERY
def test_a_gpu_gets_the_driver_of_its_generation(gpu: gpus.Gpu) -> None:
    last, kinds, early = NEEDS[gpu.generation]
    kinds = {"open"} if gpu.model.startswith("GH200") else kinds
    assert (gpu.last, set(gpu.modules)) == (last, kinds)
    plan = driver.resolve([gpu.device], "580.173.02-1")
    assert plan["ok"], plan["seen"]
    assert plan["modules"] == ("open" if "open" in kinds else "proprietary")
    for kind in ("open", "proprietary"):
        assert driver.resolve([gpu.device], "580.173.02-1", kind)["ok"] == (kind in kinds)
    assert driver.resolve([gpu.device], "595.91.07-1")["ok"] == (last == 0)
    refused = driver.resolve([gpu.device], str(early))
    assert not refused["ok"]
    assert f"needs {gpu.first} or later" in refused["seen"]


@EVERY
def test_a_gpu_on_a_board_with_nvswitches_gets_what_they_need(gpu: gpus.Gpu) -> None:
    nvlink5 = re.search(r"G?B[23]00", gpu.model)
    nvswitch = re.search(r"A[18]00.SXM4.[48]0GB|H100 SXM5|^H800$|^H20($| HBM)|H200 SXM", gpu.model)
    expected = "nvlink5" if nvlink5 else "nvswitch" if nvswitch else ""
    assert (gpu.fabric, driver.resolve([gpu.device], "580", switches=True)["fabric"]) == (expected, expected)
    assert driver.resolve([gpu.device], "580")["fabric"] == ""


def test_what_can_be_divided_is_of_a_generation_that_can() -> None:
    divisible = {gpu.model for gpu in gpus.GPUS.values() if gpu.mig}
    assert {gpu.generation for gpu in gpus.GPUS.values() if gpu.mig} == {"Ampere", "Hopper", "Blackwell"}
    assert {"A100 SXM4 40GB", "A30 PCIe", "H100 PCIe", "H200 NVL", "B200", "RTX PRO 6000 Blackwell Server Edition"} <= divisible
    assert not divisible & {"A10", "A40", "L4", "L40S", "Tesla T4", "RTX A6000", "GeForce RTX 5090"}


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

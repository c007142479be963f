"""Which driver a host gets, and every reason to refuse one."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import driver

T4, L4, V100, A100, H100, GH200, B200, RTX_PRO = "0x1eb8", "0x27b8", "0x1db4", "0x20b0", "0x2330", "0x2342", "0x2901", "0x2bb5"


@pytest.mark.parametrize(
    ("case", "arguments", "seen", "remedy"),
    [
        ("no GPU", ([], "580"), "no NVIDIA GPU", "reseat the card"),
        ("not a version", ([T4], "latest"), "'latest' is no version", "580.173.02-1 or 580"),
        ("a GPU of tomorrow", (["0x3000"], "620"), "unknown device 10de:3000", "gpu_kernel_modules"),
        ("V100 with 595", ([V100], "595.91.07-1"), "no branch after 580", "set gpu_driver_version to a version of branch 580"),
        ("Blackwell with 550", ([B200], "550.163.01"), "needs 570.133.20 or later", "570.133.20 or later"),
        ("an early version of the right branch", ([RTX_PRO], "575.51.03"), "needs 575.57.08", "575.57.08 or later"),
        ("Blackwell, proprietary", ([B200], "580", "proprietary"), "B200 is not driven by them", "gpu_kernel_modules to open or auto"),
        ("Grace Hopper, proprietary", ([GH200], "580", "proprietary"), "GH200", "gpu_kernel_modules to open or auto"),
        ("Volta, open", ([V100], "580", "open"), "V100", "gpu_kernel_modules to proprietary or auto"),
        ("no proprietary modules any more", ([T4], "620", "proprietary"), "620 has none", "gpu_kernel_modules to open or auto"),
        ("no common kernel modules", ([V100, B200], "580"), "alone", "hosts of their own"),
        ("no common branch either", ([V100, B200], "595"), "alone", "hosts of their own"),
        ("the older card of two", ([V100, T4], "595"), "V100", "a version of branch 580"),
        ("no longer maintained", ([T4], "550.163.01"), "no longer maintains", "branch 580 or later"),
        ("by NVIDIA's installer", ([T4], "595", "auto", {"version": "580.1", "runfile": True}), "installer", "nvidia-uninstall"),
        (
            "Fabric Manager of another version",
            ([A100], "580", "auto", {"version": "580.95.05", "fabric_manager": "580.82.07-1"}, True),
            "Fabric Manager 580.82.07-1 beside driver 580.95.05",
            "install Fabric Manager 580.95.05",
        ),
        ("no Fabric Manager", ([A100], "580", "auto", {"version": "580.95.05"}, True), "missing", "install Fabric Manager 580.95.05"),
    ],
)
def test_refused(case: str, arguments: tuple[Any, ...], seen: str, remedy: str) -> None:
    plan = driver.resolve(*arguments)
    assert not plan["ok"], case
    assert seen in plan["seen"], case
    assert remedy in plan["remedy"], case


@pytest.mark.parametrize(
    ("case", "arguments", "expected"),
    [
        ("the open modules by default", ([A100], "580.173.02-1"), {"version": "580.173.02-1", "branch": 580, "modules": "open"}),
        ("a branch", ([L4], "595"), {"version": "595", "branch": 595, "modules": "open"}),
        ("asked for", ([T4], "580", "proprietary"), {"modules": "proprietary"}),
        ("what both know", ([T4, V100], "580"), {"modules": "proprietary"}),
        ("taken on trust", (["0x3000"], "620", "open"), {"modules": "open"}),
        ("switches", ([H100] * 8, "580", "auto", None, True), {"fabric": "nvswitch"}),
        ("no switches", ([H100] * 4, "580"), {"fabric": ""}),
        ("switches of NVLink 5", ([B200] * 8, "580", "auto", None, True), {"fabric": "nvlink5"}),
        ("ours is brought there", ([T4], "580.2", "auto", {"version": "580.1", "ours": True}), {"adopt": False, "version": "580.2"}),
        ("of the branch", ([T4], "580.2-1", "auto", {"version": "580.1", "modules": "proprietary"}),
         {"adopt": True, "version": "580.1", "modules": "proprietary"}),
        ("an older one of the branch", ([T4], "550", "auto", {"version": "550.163.01"}), {"adopt": True}),
        ("by the installer, of the branch", ([T4], "580", "auto", {"version": "580.1", "runfile": True}), {"adopt": True}),
        ("of another branch", ([T4], "595", "auto", {"version": "580.1"}), {"adopt": False, "version": "595"}),
        ("of the other modules", ([T4], "580", "open", {"version": "580.1", "modules": "proprietary"}), {"adopt": False}),
        ("modules that do not drive it", ([B200], "580.2", "auto", {"version": "580.1", "modules": "proprietary"}), {"adopt": False}),
        ("too early for the GPU", (["0x3182"], "580.173.02", "auto", {"version": "580.65.06"}), {"adopt": False}),
        ("with its Fabric Manager", ([A100], "580", "auto", {"version": "580.1", "fabric_manager": "580.1-1"}, True),
         {"adopt": True, "fabric": "nvswitch"}),
    ],
)  # fmt: skip
def test_resolved(case: str, arguments: tuple[Any, ...], expected: dict[str, Any]) -> None:
    plan = driver.resolve(*arguments)
    assert plan["ok"], plan["seen"]
    assert {key: plan[key] for key in expected} == expected, case


def test_a_plan_says_what_it_is_for() -> None:
    plan = driver.resolve([A100] * 8, "580.173.02-1", switches=True)
    assert plan["seen"] == "8 x A100 SXM4 40GB: driver 580.173.02-1, open kernel modules, Fabric Manager"


def test_a_look_at_a_host_is_judged() -> None:
    look = {"pci_gpus": [{"slot": "0000:17:00.0", "device_id": V100}], "driver_version": None, "health": {"modules": "", "runfile": False}}
    assert driver.check(look, "580.173.02-1") == (
        True, "1 x Tesla V100 PCIe 16GB: driver 580.173.02-1, proprietary kernel modules", ""
    )  # fmt: skip
    ok, seen, remedy = driver.check(look, "595.91.07-1")
    assert not ok
    assert "V100" in seen
    assert "580" in remedy

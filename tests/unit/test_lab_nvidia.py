"""The lab's GPUs: what their bus looks like, and what the stand-ins for nvidia-smi and nvidia-modprobe say, whole and broken."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import probe, probe_health
from ansible_collections.rackstart.cluster.plugins.module_utils.gpus import find

from lab.nvidia import pci

PACKAGES = Path(pci.__file__).parent / "packages"
SECOND = "0000:18:00.0"
Run = Callable[..., subprocess.CompletedProcess[str]]


def lay(root: Path, models: list[str]) -> None:
    shutil.rmtree(root / "sys/bus", ignore_errors=True)
    for slot, attributes in pci.devices(models):
        (root / "sys/bus/pci/devices" / slot).mkdir(parents=True)
        for name, value in attributes.items():
            (root / "sys/bus/pci/devices" / slot / name).write_text(f"{value}\n")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The root of a host with two A100 and driver 580.1, on which nothing is mounted."""
    lay(tmp_path, ["A100-40", "A100-40"])
    share = tmp_path / "usr/share/nvidia-stand-in"
    for folder in (share, tmp_path / "etc/nvidia-stand-in", tmp_path / "dev"):
        folder.mkdir(parents=True)
    shutil.copy(Path(pci.__file__).parent / "models.json", share)
    for name in ("library-version", "module-version"):
        (share / name).write_text("580.1\n")
    (tmp_path / "etc/machine-id").write_text("0123\n")
    (tmp_path / "dev/kmsg").symlink_to("/dev/null")
    (tmp_path / "mount").write_text("#!/bin/sh\n")
    (tmp_path / "mount").chmod(0o755)
    return tmp_path


@pytest.fixture
def smi(host: Path) -> Run:
    """Run nvidia-smi on the host, with a test's faults."""

    def run(*arguments: str, faults: str | None = None) -> subprocess.CompletedProcess[str]:
        if faults is not None:
            (host / "etc/nvidia-stand-in/fault").write_text(f"{faults}\n")
        folders = [host, PACKAGES / "nvidia-driver-cuda/usr/bin", PACKAGES / "nvidia-modprobe/usr/bin"]
        environment = os.environ | {"STAND_IN_ROOT": str(host), "PATH": ":".join([*map(str, folders), os.environ["PATH"]])}
        return subprocess.run(["nvidia-smi", *arguments], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("model", [name for name in pci.MODELS if name != "NVSwitch"])
def test_a_model_is_one_that_the_product_knows(model: str) -> None:
    gpu = find(str(pci.MODELS[model]["device"]))
    assert gpu is not None
    assert gpu.model.removeprefix("Tesla ").split()[0] in model


def test_a_switch_is_on_the_bus_and_no_gpu(host: Path) -> None:
    lay(host, ["H100", "NVSwitch"])
    assert [gpu["device_id"] for gpu in probe.pci_gpus(host)] == ["0x2330"]
    assert probe_health.switches(host) == 1


def test_a_host_lists_its_gpus(smi: Run) -> None:
    listed = smi("--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader,nounits")
    assert (listed.returncode, listed.stdout) == (0, "0, NVIDIA A100-SXM4-40GB, 40960, 580.1\n1, NVIDIA A100-SXM4-40GB, 40960, 580.1\n")
    health = smi(f"--query-gpu={','.join(probe_health.FIELDS)}", "--format=csv,noheader,nounits")
    whole = {"ecc": 0, "pending": False, "failed": False, "mig": False, "used_mib": 0}
    assert probe_health.parse_health(health.stdout) == {"0": whole, "1": whole}


@pytest.mark.parametrize(
    ("fault", "code", "said", "listed"),
    [
        ("", 0, "", 2),
        ("exit 14", 14, "infoROM is corrupted", 0),
        (f"missing {SECOND}", 0, "", 1),
        (f"xid79 {SECOND}", 15, "GPU is lost", 1),
        ("nouveau", 9, "couldn't communicate with the NVIDIA driver", 0),
        ("unbuilt", 9, "couldn't communicate with the NVIDIA driver", 0),
    ],
)
def test_a_fault_shows_although_the_driver_was_loaded(smi: Run, fault: str, code: int, said: str, listed: int) -> None:
    assert smi("-L").returncode == 0
    seen = smi("-L", faults=fault)
    assert seen.returncode == code
    assert said in seen.stdout
    assert seen.stdout.count("(UUID: GPU-") == listed


def test_a_gpu_that_fell_off_the_bus_is_in_the_kernels_log(host: Path, smi: Run) -> None:
    smi("-L", faults=f"xid79 {SECOND}")
    smi("-L")
    assert probe_health.xids(host) == [{"slot": "0000:18:00", "xid": 79, "times": 1}]


def test_nouveau_is_gone_with_a_reboot(host: Path, smi: Run) -> None:
    smi("-L", faults="nouveau")
    assert (host / "sys/module/nouveau").exists()
    assert smi("-L").returncode == 9
    (host / "sys/module/nouveau").rmdir()
    shutil.rmtree(host / "run")
    assert smi("-L").returncode == 0


def test_a_driver_of_another_version_is_not_spoken_with(host: Path, smi: Run) -> None:
    assert smi("-L").returncode == 0
    (host / "usr/share/nvidia-stand-in/library-version").write_text("595.1\n")
    assert smi("-L").returncode == 18


def test_unified_memory_is_loaded_only_when_asked_for(host: Path, smi: Run) -> None:
    smi("-L")
    assert not (host / "run/nvidia-stand-in/uvm").exists()
    modprobe = [PACKAGES / "nvidia-modprobe/usr/bin/nvidia-modprobe", "-u", "-c0"]
    subprocess.run(modprobe, env=os.environ | {"STAND_IN_ROOT": str(host)}, check=True)
    assert (host / "run/nvidia-stand-in/uvm").exists()


def test_the_fabric_is_set_up_once_fabric_manager_runs(host: Path, smi: Run) -> None:
    assert smi("-q").stdout.count(": N/A") == 2
    lay(host, ["H100", "NVSwitch"])
    assert smi("-q").stdout.count(": In Progress") == 1
    (host / "run/nvidia-stand-in/fabric").touch()
    assert smi("-q").stdout.count(": Completed") == 1

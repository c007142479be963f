"""Role nvidia_driver, as seen on the host afterwards. The packages are the lab's stand-ins: no kernel module is built or loaded."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
Run = Callable[[Host, str], tuple[int, str]]


def test_the_driver_shows_every_gpu(host: Host, as_root: Run) -> None:
    code, listed = as_root(host, "nvidia-smi --query-gpu=driver_version --format=csv,noheader")
    assert code == 0
    assert set(listed.splitlines()) == {"580.173.02"}
    on_bus = host.check_output("grep --files-with-matches 0x10de /sys/bus/pci/devices/*/vendor").splitlines()
    assert len(listed.splitlines()) == len(on_bus) > 0


def test_the_open_modules_are_installed_and_all_of_it_is_held(host: Host) -> None:
    assert set(host.check_output("apt-mark showhold").split()) >= {"nvidia-driver-cuda", "nvidia-kernel-open-dkms"}
    assert not host.package("nvidia-kernel-dkms").is_installed
    candidate = host.check_output("apt-cache policy nvidia-kernel-open-dkms")
    assert "Candidate: 580.173.02-1" in candidate, "of two branches that the repository has"


def test_the_repository_is_that_of_the_release(host: Host) -> None:
    sources = host.file("/etc/apt/sources.list.d/rackstart-nvidia-driver.sources").content_string
    assert "/compute/cuda/repos/debian12/x86_64/" in sources


def test_nouveau_is_kept_away(host: Host) -> None:
    assert "blacklist nouveau\n" in host.file("/etc/modprobe.d/rackstart-nouveau.conf").content_string
    assert not host.file("/sys/module/nouveau").exists


def test_the_driver_stays_loaded(host: Host) -> None:
    assert host.service("nvidia-persistenced").is_running
    assert host.service("nvidia-persistenced").is_enabled
    assert host.file("/run/nvidia-stand-in/uvm").exists, "what the GPU Operator's validator looks for"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("nvidia_driver_version=550.163.01-1", "which NVIDIA no longer maintains: set gpu_driver_version to branch 580 or later"),
        ("nvidia_driver_version=440.33", "needs 450.80.02 or later: set gpu_driver_version to 450.80.02 or later"),
        ("nvidia_driver_version=latest", "'latest' is no version"),
    ],
)
def test_what_cannot_drive_the_gpus_is_refused_before_anything_is_touched(setting: str, said: str) -> None:
    command = [
        "ansible-playbook",
        "--inventory=molecule/inventory/hosts.yml",
        "molecule/nvidia_driver/converge.yml",
        f"--extra-vars={setting}",
    ]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert said in done.stdout
    assert "changed=0" in done.stdout

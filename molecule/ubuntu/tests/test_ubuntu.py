"""The branch for Ubuntu: names and versions of its archive, and of NVIDIA's repository nothing but what the archive lacks."""

import re

from testinfra.host import Host

FLAVOURS = {"mol-jammy": "580-server", "mol-noble": "580-server-open"}  # the one is asked for proprietary modules
ARCHIVE = "580.173.02-0ubuntu1"


def test_the_driver_shows_every_gpu(host: Host) -> None:
    assert host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader") == "580.173.02"


def test_the_packages_are_those_of_the_archive(host: Host) -> None:
    kind, kernel = FLAVOURS[host.backend.host], host.check_output("uname -r")
    wanted = {"nvidia-utils-580-server", "nvidia-compute-utils-580-server", f"nvidia-headless-no-dkms-{kind}"}
    wanted |= {f"linux-modules-nvidia-{kind}-{kernel}"}
    if host.backend.host == "mol-noble":
        wanted |= {"nvidia-fabricmanager-580"}
    assert {name: host.package(name).version for name in wanted} == dict.fromkeys(wanted, ARCHIVE)
    assert wanted <= set(host.check_output("apt-mark showhold").split())
    assert not host.package("nvidia-driver-cuda").is_installed


def test_no_upgrade_brings_a_kernel_without_its_modules_or_modules_without_all_of_their_kernel(host: Host) -> None:
    flavour = re.sub(r"^[^-]*-(\d+-)?", "", host.check_output("uname -r"))
    names = {f"linux-image-{flavour}", f"linux-modules-nvidia-{FLAVOURS[host.backend.host]}-{flavour}"}
    assert [name for name in names if not host.package(name).is_installed] == []
    assert names <= set(host.check_output("apt-mark showhold").split())


def test_nvidias_repository_is_there_only_for_what_the_archive_lacks(host: Host) -> None:
    sources = host.file("/etc/apt/sources.list.d/rackstart-nvidia-driver.sources")
    if host.backend.host == "mol-jammy":
        assert not sources.exists
        return
    assert "/compute/cuda/repos/ubuntu2404/x86_64/" in sources.content_string
    assert host.package("nvlsm").is_installed
    policy = host.check_output("apt-cache policy nvidia-fabricmanager-580")
    assert "580.173.02-1ubuntu1" in policy, "NVIDIA's own is newer"
    assert f"Candidate: {ARCHIVE}" in policy


def test_the_driver_stays_loaded_although_the_packages_unit_says_no(host: Host) -> None:
    assert "--no-persistence-mode" in host.file("/lib/systemd/system/nvidia-persistenced.service").content_string
    assert " --persistence-mode " in host.check_output("systemctl show --property=ExecStart nvidia-persistenced")
    assert host.service("nvidia-persistenced").is_enabled
    assert host.service("nvidia-persistenced").is_running
    assert host.file("/run/nvidia-stand-in/uvm").exists

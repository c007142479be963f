"""Every role that acts on a host, on one of Debian 13."""

import pytest
from testinfra.host import Host


def test_the_host_is_what_it_says(host: Host) -> None:
    assert host.file("/etc/debian_version").content_string.startswith("13")
    assert host.check_output("python3 --version").startswith("Python 3.13.")


def test_the_firewall_and_the_kernels_settings_are_in_place(host: Host) -> None:
    assert host.service("rackstart-firewall").is_enabled
    assert host.file("/etc/modules-load.d/rackstart.conf").content_string == "overlay\nbr_netfilter\n"
    assert host.package("jq").is_installed


def test_the_export_is_served(host: Host) -> None:
    assert host.package("nfs-ganesha").version.startswith("6.")
    assert host.service("nfs-ganesha").is_enabled
    assert host.check_output("/usr/sbin/showmount --no-headers --exports 127.0.0.1").split()[0] == "/srv/models"


def test_the_weights_are_what_the_manifest_says(host: Host) -> None:
    assert host.check_output("find /srv/models -name MANIFEST.sha256 | wc -l") != "0"
    assert host.run("cd /srv/models/*/*/* && sha256sum --check --strict --quiet MANIFEST.sha256").rc == 0


def test_the_driver_is_that_of_nvidias_repository_for_this_release(host: Host) -> None:
    assert host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader") == "580.173.02"
    sources = host.file("/etc/apt/sources.list.d/rackstart-nvidia-driver.sources").content_string
    assert "/compute/cuda/repos/debian13/x86_64/" in sources
    assert host.service("nvidia-persistenced").is_enabled


@pytest.mark.parametrize("name", ["nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-container-toolkit"])
def test_upgrades_pass_the_packages_by(host: Host, name: str) -> None:
    assert name in host.check_output("apt-mark showhold").split()

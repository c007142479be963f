"""The branch for dnf: names of RHEL and of NVIDIA's repository for it, and locks of versions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

AUTHORITY = Path(__file__).parents[2] / "host/files/ca.pem"
DRIVER = {"nvidia-driver-cuda", "nvidia-persistenced", "kmod-nvidia-open-dkms", "nvidia-fabricmanager"}
ALONG = {"nvidia-driver-cuda-libs", "nvidia-modprobe"}  # by relations of those
TOOLKIT = {"nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1"}
Run = Callable[[Host, str], tuple[int, str]]


@pytest.fixture
def installed(host: Host, as_root: Run) -> dict[str, str]:
    """Versions by name. testinfra would ask dpkg, which this host has too, and Debian's rpm shows users a database of their own."""
    _, listed = as_root(host, "rpm --query --all --queryformat '%{NAME} %{VERSION}-%{RELEASE}\\n'")
    return dict(line.split() for line in listed.splitlines())


def test_the_packages_have_the_names_of_rhel(installed: dict[str, str]) -> None:
    assert {"ca-certificates", "nftables", "jq", "nfs-utils", "python3.12"} <= installed.keys()


def test_the_headers_are_those_of_the_running_kernel_and_no_newer_one_came_along(host: Host, as_root: Run) -> None:
    _, listed = as_root(host, "rpm --query kernel-core kernel-devel kernel-devel-matched")
    assert listed.split() == [f"{name}-5.14.0-570.12.1.el9_6.x86_64" for name in ("kernel-core", "kernel-devel", "kernel-devel-matched")]


def test_the_certificate_authority_is_trusted(host: Host) -> None:
    assert AUTHORITY.read_text().strip() in host.file("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem").content_string


def test_dnf_is_told_of_the_proxy(host: Host) -> None:
    assert "proxy=http://10.77.0.2:80\n" in host.file("/etc/dnf/dnf.conf").content_string


def test_the_driver_is_that_of_nvidias_repository_for_this_release(host: Host, installed: dict[str, str]) -> None:
    assert host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader") == "580.173.02"
    assert "/compute/cuda/repos/rhel9/x86_64/" in host.file("/etc/yum.repos.d/rackstart-nvidia-driver.repo").content_string
    assert {installed[name] for name in DRIVER} == {"580.173.02-1.el9"}
    assert {installed[name] for name in TOOLKIT} == {"1.20.0-1"}
    assert host.service("nvidia-persistenced").is_enabled


@pytest.mark.parametrize("name", sorted(DRIVER | ALONG | TOOLKIT))
def test_upgrades_pass_the_packages_by(host: Host, name: str) -> None:
    locks = host.file("/etc/dnf/plugins/versionlock.list").content_string.splitlines()
    assert len([line for line in locks if line.rsplit("-", 2)[0] == name]) == 1


def test_nothing_else_has_the_drivers_version(installed: dict[str, str]) -> None:
    assert {name for name, version in installed.items() if version == "580.173.02-1.el9"} == DRIVER | ALONG


def test_the_weights_are_what_the_manifest_says(host: Host) -> None:
    assert host.run("cd /srv/models/*/*/* && sha256sum --check --strict --quiet MANIFEST.sha256").rc == 0

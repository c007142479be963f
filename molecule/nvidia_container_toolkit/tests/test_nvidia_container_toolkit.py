"""Role nvidia_container_toolkit."""

from collections.abc import Callable

import pytest
from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


@pytest.mark.parametrize("program", ["nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook"])
def test_k3s_and_the_device_plugin_find_the_programs(host: Host, program: str) -> None:
    assert host.file(f"/usr/bin/{program}").is_executable


def test_upgrades_pass_the_packages_by(host: Host) -> None:
    held = host.check_output("apt-mark showhold").split()
    assert {"nvidia-container-toolkit", "nvidia-container-toolkit-base"} <= set(held)
    versions = {host.package(name).version for name in held}
    assert versions == {"1.20.0-1"}


def test_the_repository_is_trusted_for_itself_alone(host: Host) -> None:
    sources = host.file("/etc/apt/sources.list.d/rackstart-nvidia-container-toolkit.sources").content_string
    assert "Signed-By: /etc/apt/keyrings/rackstart-nvidia-container-toolkit.asc" in sources
    assert "Trusted" not in sources


def test_a_toolkit_that_lacks_a_program_is_refused(host: Host, as_root: Run, converge: Callable[..., tuple[int, str]]) -> None:
    assert as_root(host, "mv /usr/bin/nvidia-ctk /root") == (0, "")
    try:
        code, said = converge()
    finally:
        assert as_root(host, "mv /root/nvidia-ctk /usr/bin") == (0, "")
    assert code != 0
    assert "/usr/bin lacks nvidia-ctk although version 1.20.0-1 of the packages is installed" in said

"""Role nvidia_driver after a change of the branch and of the kernel modules, on a host that somebody had touched."""

from collections.abc import Callable

from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]


def test_the_other_branch_is_loaded(host: Host, as_root: Run) -> None:
    assert as_root(host, "nvidia-smi --query-gpu=driver_version --format=csv,noheader | uniq") == (0, "595.91.07")


def test_the_other_modules_took_the_place_of_the_open_ones(host: Host) -> None:
    assert host.package("nvidia-kernel-dkms").version == "595.91.07-1"
    assert not host.package("nvidia-kernel-open-dkms").is_installed
    assert {"nvidia-driver-cuda", "nvidia-kernel-dkms"} <= set(host.check_output("apt-mark showhold").split())


def test_the_kernel_was_started_anew(host: Host) -> None:
    written = host.file("/etc/modprobe.d/rackstart-nouveau.conf").mtime.timestamp()
    started = host.check_output("systemctl show --property=UserspaceTimestamp --timestamp=unix").split("@")[1]
    assert int(started) >= written

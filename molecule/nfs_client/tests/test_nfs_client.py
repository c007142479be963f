"""Role nfs_client."""

from testinfra.host import Host


def test_a_volume_can_be_mounted(host: Host) -> None:
    assert host.package("nfs-common").is_installed
    assert host.file("/sbin/mount.nfs").is_executable
    assert host.check_output("getent protocols tcp").split()[:2] == ["tcp", "6"]

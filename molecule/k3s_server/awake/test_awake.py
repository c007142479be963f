"""Role k3s_server: a member that stood still is started."""

from testinfra.host import Host


def test_the_server_runs_again(host: Host) -> None:
    assert host.check_output("systemctl show --property=ActiveState --value k3s") in ("activating", "active")

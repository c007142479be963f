"""Role host, as seen on each host afterwards."""

import socket
from pathlib import Path

import pytest
from testinfra.host import Host

AUTHORITY = Path(__file__).parent.parent / "files/ca.pem"


def test_packages_are_installed(host: Host) -> None:
    assert [name for name in ("ca-certificates", "nftables", "jq") if not host.package(name).is_installed] == []


def test_the_name_resolves_without_a_name_server(host: Host) -> None:
    name = host.ansible.get_variables()["inventory_hostname"]
    own = {"mol-2": "mol-2.example.org"}.get(name, name)
    assert host.check_output("hostname") == own
    assert host.check_output("cat /etc/hostname") == own
    others = [] if own == name else [name]
    assert " ".join(["127.0.1.1", own, *others, "by-hand"]) in host.file("/etc/hosts").content_string.splitlines()


def test_no_swap_is_in_use(host: Host) -> None:
    assert host.file("/proc/swaps").content_string.count("\n") == 1


def test_kernel_settings_are_written_and_live_where_a_host_may_set_them(host: Host) -> None:
    written = host.file("/etc/sysctl.d/90-rackstart.conf").content_string
    assert "vm.overcommit_memory = 1\n" in written
    for line in ("net.ipv4.ip_forward = 1", "net.ipv6.conf.all.forwarding = 1"):
        key, value = line.split(" = ")
        assert f"{line}\n" in written
        assert host.file(f"/proc/sys/{key.replace('.', '/')}").content_string.strip() == value
    assert host.file("/etc/modules-load.d/rackstart.conf").content_string == "overlay\nbr_netfilter\n"


def test_the_certificate_authority_is_trusted(host: Host) -> None:
    assert AUTHORITY.read_text().strip() in host.file("/etc/ssl/certs/ca-certificates.crt").content_string


def test_services_are_told_of_the_proxy(host: Host) -> None:
    assert "NO_PROXY=10.77.0.0/24" in host.check_output("systemctl show-environment").splitlines()


@pytest.mark.parametrize(("port", "outcome"), [(22, "open"), (6443, "closed"), (8080, "no answer")])
def test_the_firewall_admits_what_is_declared(host: Host, port: int, outcome: str) -> None:
    assert host.service("rackstart-firewall").is_enabled
    address = host.ansible.get_variables()["ansible_host"]
    try:
        with socket.create_connection((address, port), timeout=2):
            seen = "open"
    except ConnectionRefusedError:
        seen = "closed"  # let through: nothing listens
    except TimeoutError:
        seen = "no answer"
    assert seen == outcome

"""Role nfs_server: what another host gets of the export. The client is the lab's mount.nfs, so nothing of the kernel's client is shown."""

from collections.abc import Callable, Iterator

import pytest
import testinfra
from testinfra.host import Host

SERVER = "10.77.0.41"
OPTIONS = "ro,hard,nfsvers=3,nolock,retry=0"

Run = Callable[[Host, str], tuple[int, str]]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, as_root: Run) -> Host:
    """The exporting host, with a file that all may read and one that only root may."""
    host = testinfra.get_host(f"ansible://mol-1?ansible_inventory={request.config.option.ansible_inventory}")
    files = "echo weights >/srv/models/public; (umask 077; echo secret >/srv/models/private)"
    assert as_root(host, files) == (0, "")
    return host


@pytest.fixture
def mounted(host: Host, server: Host, as_root: Run) -> Iterator[str]:
    """Where the client has the export mounted."""
    assert as_root(host, f"mount -t nfs -o {OPTIONS} {SERVER}:/srv/models /mnt")[0] == 0
    yield "/mnt"
    assert as_root(host, "umount /mnt") == (0, "")


def test_the_server_runs_and_starts_with_the_host(server: Host) -> None:
    assert server.service("nfs-ganesha").is_running
    assert server.service("nfs-ganesha").is_enabled


def test_a_client_reads(host: Host, mounted: str, as_root: Run) -> None:
    assert as_root(host, f"cat {mounted}/public") == (0, "weights")


def test_a_client_cannot_write(host: Host, mounted: str, as_root: Run) -> None:
    code, words = as_root(host, f"touch {mounted}/new; echo more >>{mounted}/public")
    assert code != 0
    assert words.count("Read-only file system") == 2


def test_root_of_a_client_is_nobody_on_the_server(host: Host, mounted: str, as_root: Run) -> None:
    code, words = as_root(host, f"cat {mounted}/private")
    assert code != 0
    assert "Permission denied" in words


def test_nothing_else_is_exported(host: Host, server: Host, as_root: Run) -> None:
    assert as_root(host, f"showmount --no-headers --exports {SERVER}")[1].split()[0] == "/srv/models"
    code, _ = as_root(host, f"mount -t nfs -o {OPTIONS} {SERVER}:/etc /mnt")
    assert code != 0


def test_the_server_itself_refuses_to_write(server: Host) -> None:
    """The client's own `ro` hides it, so ask what the server was told."""
    config = server.file("/etc/ganesha/ganesha.conf").content_string
    assert "Access_Type = RO;" in config
    assert "RW" not in config


def test_the_store_of_a_filer_is_mounted_now_and_at_every_boot(host: Host, server: Host, as_root: Run) -> None:
    assert as_root(host, "cat /srv/store/public") == (0, "weights")
    (line,) = [line.split() for line in host.file("/etc/fstab").content_string.splitlines() if "/srv/store" in line]
    assert line[:4] == [f"{SERVER}:/srv/models", "/srv/store", "nfs", "ro,hard,nfsvers=3,nolock,noatime,_netdev"]

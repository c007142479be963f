"""Role nfs_server, backend kernel"""

from tests.vm.machines import ADDRESSES, Play, ask, root, settings

SERVER = ADDRESSES["server"]


def test_altered(mended: list[Play]) -> None:
    """After an alteration by hand (open to writers, server off), `--check` foretells just what a run then mends"""
    foretold, done = mended[0].changed, mended[1].changed
    assert {place.split("/")[1] for place, _, _ in done} == {"nfs_server"}
    assert foretold == done


def test_server(exported: str) -> None:
    """The kernel's server runs, and starts with the host"""
    assert ask("server", "systemctl is-active nfs-server; systemctl is-enabled nfs-server") == "active\nenabled"
    assert int(ask("server", "cat /proc/fs/nfsd/threads")) > 0


def test_options(mounted: str) -> None:
    """The client mounts with the options of `storage_mount_options`, and `/proc/mounts` shows them; rsize as far as the server takes it"""
    line = next(line.split() for line in ask("client", "cat /proc/mounts").splitlines() if f" {mounted} " in line)
    assert (line[0], line[2]) == (f"{SERVER}:{settings('client')['storage_export']}", "nfs4")
    declared = dict(option.replace("nfsvers", "vers").partition("=")[::2] for option in settings("client")["storage_mount_options"])
    # a server with little memory takes less at once than a client asks for
    declared["rsize"] = str(min(int(declared["rsize"]), int(ask("server", "cat /proc/fs/nfsd/max_block_size"))))
    assert declared.items() <= dict(option.partition("=")[::2] for option in line[3].split(",")).items()


def test_connections(mounted: str) -> None:
    """As many TCP connections as `nconnect` says are open once files are read"""
    wanted = next(option for option in settings("client")["storage_mount_options"] if option.startswith("nconnect="))
    ask("client", f"for i in $(seq 32); do cat {mounted}/public; ls {mounted}; done")
    assert len(ask("client", f"ss -Htn state established dst {SERVER}:2049").splitlines()) == int(wanted.removeprefix("nconnect="))


def test_read(mounted: str) -> None:
    """The client reads"""
    assert ask("client", f"cat {mounted}/public") == "weights"


def test_root_squash(mounted: str) -> None:
    """A file of mode 0600 that root of the server owns cannot be read by root of the client"""
    code, words = root("client", f"cat {mounted}/private")
    assert code != 0
    assert "Permission denied" in words


def test_read_only(mounted: str) -> None:
    """A write is refused by the client's mount, and by the server to a client that mounts read-write"""
    code, words = root("client", f"touch {mounted}/new")
    assert (code != 0, "Read-only file system" in words) == (True, True)
    ask("server", f"chmod 777 {settings('server')['storage_path']}")
    ask("client", f"mkdir -p /tmp/rw; mount -t nfs -o rw,nfsvers=4.1,nosharecache {SERVER}:{settings('client')['storage_export']} /tmp/rw")
    try:
        code, words = root("client", "touch /tmp/rw/new")
        assert (code != 0, "Read-only file system" in words) == (True, True)
    finally:
        ask("client", "umount /tmp/rw")
        ask("server", f"chmod 755 {settings('server')['storage_path']}")


def test_nothing_else(exported: str) -> None:
    """Nothing else is exported: neither named by `showmount` nor mounted"""
    listed = ask("server", "showmount --no-headers --exports 127.0.0.1").splitlines()
    assert [line.split()[0] for line in listed] == [exported]
    assert root("client", f"mount -t nfs -o nfsvers=4.1,retry=0 {SERVER}:/etc /tmp")[0] != 0


def test_version_3(exported: str) -> None:
    """NFSv3 goes through the firewall too: portmapper and mountd answer a client"""
    ask("client", f"showmount --no-headers --exports {SERVER}")
    ask("client", f"mkdir -p /tmp/v3; timeout 60 mount -t nfs -o ro,nfsvers=3,nolock,retry=0 {SERVER}:{exported} /tmp/v3; umount /tmp/v3")

"""Backend external, nouveau, and a reboot"""

from tests.vm.machines import ADDRESSES, Play, ask, settings


def test_filer(filer: list[Play]) -> None:
    """Backend `external` mounts a filer's export read-write, foretold by `--check`; a second run changes nothing"""
    foretold, done, again = (play.changed for play in filer)
    assert done
    assert (done - foretold, again) == (set(), set())
    ask("client", "echo weights >/srv/store/written")
    assert ask("server", "cat /srv/filer/written") == "weights"


def test_boot_id(rebooted: dict[str, tuple[str, str]]) -> None:
    """`ansible.builtin.reboot`, by the role's own task, ends with another boot id"""
    assert all(before != after for before, after in rebooted.values())


def test_nouveau(rebooted: dict[str, tuple[str, str]]) -> None:
    """The initramfs that role nvidia_driver has rebuilt blacklists nouveau"""
    for name in ADDRESSES:
        ask(name, "rm -rf /tmp/initrd; unmkinitramfs /boot/initrd.img-$(uname -r) /tmp/initrd")
        inside = ask(name, "find /tmp/initrd -path '*/etc/modprobe.d/rackstart-nouveau.conf' -exec cat {} +")
        assert "blacklist nouveau" in inside.splitlines()


def test_still_off(rebooted: dict[str, tuple[str, str]]) -> None:
    """After the reboot swap is still off, modules are loaded and settings live"""
    for name in ADDRESSES:
        assert ask(name, "cat /proc/swaps").count("\n") == 0
        assert {"overlay", "br_netfilter"} <= {line.split()[0] for line in ask(name, "lsmod").splitlines()}
        assert ask(name, "sysctl -n vm.overcommit_memory fs.inotify.max_user_instances net.bridge.bridge-nf-call-iptables") == "1\n8192\n1"


def test_services(rebooted: dict[str, tuple[str, str]]) -> None:
    """After the reboot firewall and NFS server are back, the store of the filer is mounted, and the client mounts the export again"""
    assert ask("server", "systemctl is-active rackstart-firewall nfs-server") == "active\nactive"
    assert "policy drop" in ask("server", "nft list chain inet rackstart input")
    assert ask("client", "cat /srv/store/written") == "weights"
    told = settings("client")
    source = f"{ADDRESSES['server']}:{told['storage_export']}"
    assert (
        ask("client", f"mount -t nfs -o {','.join(told['storage_mount_options'])} {source} /mnt; cat /mnt/public; umount /mnt") == "weights"
    )

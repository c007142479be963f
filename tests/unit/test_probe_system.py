"""What the look at a host reads of its system, network, exports and GPUs, on file systems laid out by the tests."""

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import probe_health, probe_network, probe_storage, probe_system

KERNEL = os.uname().release


def lay(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


SYSTEM: list[tuple[str, dict[str, str | bytes], Any]] = [
    # what, the files of the host, what is read of them
    (
        "nofile",
        {"proc/1/limits": "Limit Soft Hard Units\nMax open files 1024 524288 files\n"},
        524288,
    ),
    ("nofile", {}, None),
    ("selinux", {"sys/fs/selinux/enforce": "1"}, "enforcing"),
    ("apparmor", {"sys/module/apparmor/parameters/enabled": "Y\n"}, True),
    ("secure_boot", {"sys/firmware/efi/efivars/SecureBoot-8be4": b"\6\0\0\0\1"}, True),
    ("secure_boot", {"sys/firmware/efi/efivars/SecureBoot-8be4": b"\6\0\0\0\0"}, False),
    ("secure_boot", {"sys/firmware/acpi/x": ""}, False),
    ("secure_boot", {"sys/firmware/efi/x": ""}, None),
    ("secure_boot", {}, None),
    ("cgroup_version", {"sys/fs/cgroup/cgroup.controllers": "cpu"}, 2),
    ("cgroup_version", {"sys/fs/cgroup/unified/cgroup.controllers": "cpu"}, 1),
    ("cgroup_version", {}, None),
    ("reboot", {"run/reboot-required": "", "run/reboot-required.pkgs": "linux-base\n"}, "asked for by linux-base"),
    ("reboot", {"lib/modules/0.0.1/x": ""}, f"the running kernel {KERNEL} was removed"),
    ("firewalls", {"etc/ufw/ufw.conf": "# x\nENABLED=yes\n"}, ["ufw"]),
    ("firewalls", {"etc/ufw/ufw.conf": "ENABLED=no\n"}, []),
    ("proxies", {"etc/environment": "https_proxy=http://me:pw@proxy:3128\n"}, ["http://***@proxy:3128 in /etc/environment"]),
    ("proxies", {"etc/apt/apt.conf.d/9": 'Acquire::http::Proxy "http://proxy:3128";\n'}, ["http://proxy:3128 in /etc/apt/apt.conf.d/9"]),
    ("proxies", {"etc/dnf/dnf.conf": "#proxy=http://old\n"}, []),
    ("product_uuid", {"sys/class/dmi/id/product_uuid": "4C4C4544\n"}, "4c4c4544"),
    ("packages", {}, None),
]


@pytest.mark.parametrize(("what", "files", "expected"), SYSTEM, ids=[f"{what}-{n}" for n, (what, _, _) in enumerate(SYSTEM)])
def test_the_system_is_read_from_its_files(tmp_path: Path, what: str, files: dict[str, str | bytes], expected: object) -> None:
    lay(tmp_path, files)
    assert probe_system.system(tmp_path)[what] == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({f"lib/modules/{KERNEL}/modules.dep": "kernel/net/other.ko.xz:\n"}, False),
        ({f"lib/modules/{KERNEL}/modules.dep": "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n"}, True),
        ({f"lib/modules/{KERNEL}/modules.builtin": "kernel/net/bridge/br_netfilter.ko\n"}, True),
        ({"sys/module/br_netfilter/x": ""}, True),
        ({"proc/sys/net/bridge/bridge-nf-call-iptables": "1"}, True),
    ],
)
def test_a_module_is_at_hand_or_not_or_unknown(tmp_path: Path, files: dict[str, str | bytes], expected: bool | None) -> None:
    lay(tmp_path, files)
    assert probe_system.module("br_netfilter", tmp_path) is expected


@pytest.mark.parametrize(
    ("link", "grubby", "expected"),
    [
        (f"boot/vmlinuz-{KERNEL}", None, ""),
        ("boot/vmlinuz-9.9.9", f"/boot/vmlinuz-{KERNEL}", "vmlinuz-9.9.9 is installed"),
        (None, f"/boot/vmlinuz-{KERNEL}", ""),
        (None, "/boot/vmlinuz-9.9.9", "vmlinuz-9.9.9 is installed"),
        (None, "", None),
        (None, None, None),
    ],
)
def test_the_kernel_of_the_next_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str | None, grubby: str | None, expected: str | None
) -> None:
    """Debian and Ubuntu have a link to it, RHEL has grubby."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if link:
        (tmp_path / "vmlinuz").symlink_to(link)
    if grubby is not None:
        lay(tmp_path, {"grubby": f"#!/bin/sh\necho '{grubby}'\n"})
        (tmp_path / "grubby").chmod(0o755)
    seen = probe_system.reboot(tmp_path)
    assert seen == expected or (expected and str(seen).startswith(expected))


def test_packages_are_read_from_dpkgs_own_files(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "var/lib/dpkg/status": "Package: bash\nEssential: yes\nStatus: install ok installed\n\n"
            "Package: nvidia-driver-cuda\nStatus: install ok installed\n\nPackage: libc6\nStatus: install ok half-configured\n\n"
            "Package: nfs-common\nStatus: hold ok installed\n",
            "etc/apt/apt.conf.d/20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "1";\n',
            "var/lib/dpkg/lock": "",
            "proc/7/comm": "apt-get\n",
            "etc/apt/sources.list": "# deb http://old.example.org/ x\ndeb-src [arch=amd64] http://one.example.org/debian x main\n",
            "etc/apt/sources.list.d/toolkit.list": "deb https://two.example.org/deb/$(ARCH) /\n",
            "etc/apt/sources.list.d/rackstart-own.sources": "Types: deb\nURIs: http://own.example.org\nSuites: /\n",
            "etc/apt/sources.list.d/more.sources": "Types: deb\nURIs: http://three.example.org/ http://four.example.org\nSuites: /\n\n"
            "Types: deb\nEnabled: no\nURIs: http://five.example.org\nSuites: /\n",
        },
    )
    inode = (tmp_path / "var/lib/dpkg/lock").stat().st_ino
    lay(tmp_path, {"proc/locks": f"1: POSIX  ADVISORY  WRITE 7 fd:00:{inode} 0 EOF\n"})
    expected = {
        "broken": ["libc6"], "held": ["nfs-common"], "driver_unheld": ["nvidia-driver-cuda"], "unattended": True,
        "lock": "apt-get (var/lib/dpkg/lock)",
        "sources": {
            "http://one.example.org/debian": "/etc/apt/sources.list",
            "https://two.example.org/deb/amd64": "/etc/apt/sources.list.d/toolkit.list",
            "http://three.example.org": "/etc/apt/sources.list.d/more.sources",
            "http://four.example.org": "/etc/apt/sources.list.d/more.sources",
        },
    }  # fmt: skip
    assert probe_system.packages(tmp_path) == expected
    lay(tmp_path, {"etc/apt/preferences.d/nvidia": "Package: nvidia-*\nPin: version 580.*\n"})
    assert probe_system.packages(tmp_path) == expected | {"driver_unheld": []}


def test_routes_are_networks_with_their_interface(tmp_path: Path) -> None:
    head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    lay(
        tmp_path,
        {
            "proc/net/route": head + "eno1 00000000 0100A8C0 0003 0 0 0 00000000 0 0 0\nwg0 00002A0A 0 0001 0 0 0 0000FFFF 0 0 0\n",
            "proc/net/ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 00000400 1 0 3 eno2\n",
        },
    )
    found = [(route["to"], route["device"]) for route in probe_network.routes(tmp_path)]
    assert found == [("0.0.0.0/0", "eno1"), ("10.42.0.0/16", "wg0"), ("::/0", "eno2")]


def test_a_question_that_hangs_is_given_up() -> None:
    never = threading.Event()
    seen = probe_network.together(lambda name: "" if name == "quick" else str(never.wait()), ["quick", "slow"], patience=0.2)
    assert (seen["quick"], "no answer" in seen["slow"]) == ("", True)


def test_a_name_server_is_asked_and_names_are_resolved(tmp_path: Path) -> None:
    lay(tmp_path, {"etc/resolv.conf": "search x\nnameserver 127.0.0.1\n", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.53\n"})
    seen = probe_network.resolver(["127.0.0.1"], tmp_path)
    assert (list(seen["servers"]), seen["upstream"], seen["names"]) == (["127.0.0.1"], ["192.0.2.53"], {"127.0.0.1": ""})


def test_a_place_takes_connections_or_says_why_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        assert probe_network.connects([place]) == {place: ""}
    assert probe_network.connects([place])[place] != ""


GANESHA = """EXPORT {
  Path = /srv/models; # not Pseudo
  Access_Type = None;
  CLIENT { Clients = 192.0.2.0/24; Access_Type = RO; Squash = Root_Squash; }
}
EXPORT { Path = /srv/open; Access_Type = RW; Squash = No_Root_Squash; }
"""


def test_exports_of_both_servers(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "etc/exports": "# all of it\n/srv/models 192.0.2.0/24(ro,root_squash) \\\n  198.51.100.1(rw,no_root_squash)\n",
            "etc/exports.d/more.exports": "/home *(rw)\n",
            "etc/ganesha/ganesha.conf": GANESHA,
        },
    )
    found = [(e["file"], e["path"], e["read_only"], e["root_squash"]) for e in probe_storage.exports(tmp_path)]
    assert found == [
        ("/etc/exports", "/srv/models", True, True),
        ("/etc/exports", "/srv/models", False, False),
        ("/etc/exports.d/more.exports", "/home", False, True),
        ("/etc/ganesha/ganesha.conf", "/srv/models", True, True),
        ("/etc/ganesha/ganesha.conf", "/srv/open", False, False),
    ]


@pytest.mark.parametrize(
    ("files", "expected"), [({"queue/rotational": "1\n"}, True), ({"queue/rotational": "0\n"}, False), ({"size": "1"}, None)]
)
def test_a_disk_spins_or_is_not_known(tmp_path: Path, files: dict[str, str | bytes], expected: bool | None) -> None:
    lay(tmp_path / "sys/class/block/sda", files)
    assert probe_storage.rotational("/dev/sda", tmp_path) is expected


def test_the_store_is_read_at_some_speed_without_the_cache(tmp_path: Path) -> None:
    assert probe_storage.read_speed([str(tmp_path)]) is None
    lay(tmp_path, {"model.safetensors": b"\0" * (2 << 20)})
    seen = probe_storage.read_speed([str(tmp_path)])
    assert seen is None or (seen["file"].endswith("model.safetensors") and seen["mb_per_s"] > 0)  # some file systems refuse direct reads


def card(**files: str) -> dict[str, str | bytes]:
    slot = "sys/bus/pci/devices/0000:17:00.0"
    named: dict[str, str | bytes] = {f"{slot}/{name}": text for name, text in files.items()}
    return named | {f"{slot}/vendor": "0x10de", f"{slot}/class": "0x030200", f"{slot}/device": "0x20b0"}


def test_a_cards_link_is_compared_with_its_slots(tmp_path: Path) -> None:
    lay(tmp_path, card(current_link_width="8", max_link_width="16", max_link_speed="16.0 GT/s PCIe"))
    lay(tmp_path, {"sys/bus/pci/devices/max_link_speed": "8.0 GT/s PCIe"})
    assert probe_health.link(tmp_path / "sys/bus/pci/devices/0000:17:00.0") == {"width": 8, "most": 16, "speed": 16.0, "slot": 8.0}


def test_windows_without_a_place_are_told(tmp_path: Path) -> None:
    lay(
        tmp_path,
        card(
            resource="0x00000000fa000000 0x00000000faffffff 0x0000000000040200\n"
            "0x0000000000000000 0x0000000fffffffff 0x000000002014220c\n0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        ),
    )
    seen = probe_health.bars(tmp_path / "sys/bus/pci/devices/0000:17:00.0")
    assert seen == [{"mib": 16, "assigned": True}, {"mib": 65536, "assigned": False}]


def test_xids_of_the_kernels_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no dmesg to ask instead
    assert probe_health.xids(tmp_path) is None
    line = "4,1,2,-;NVRM: Xid (PCI:0000:17:00): 79, pid='<unknown>', GPU has fallen off the bus.\n"
    lay(tmp_path, {"dev/kmsg": "6,0,1,-;Linux version 6.1\n" + line * 2})
    assert probe_health.xids(tmp_path) == [{"slot": "0000:17:00", "xid": 79, "times": 2}]


def test_health_by_nvidia_smi_leaves_out_what_a_card_does_not_have() -> None:
    seen = probe_health.parse_health("0, 0, No, Yes, Disabled, 4\n1, [N/A], [N/A], [N/A], [N/A], 512\n")
    assert seen == {
        "0": {"ecc": 0, "pending": False, "failed": True, "mig": False, "used_mib": 4},
        "1": {"ecc": None, "pending": None, "failed": None, "mig": None, "used_mib": 512},
    }
    assert probe_health.parse_health("Field is not a valid field to query.\n") is None


@pytest.mark.parametrize(
    ("files", "candidate", "expected"),
    [
        ({f"lib/modules/{KERNEL}/build/Makefile": ""}, "", "installed"),
        ({}, "Candidate: 6.1", "missing"),
        ({f"boot/vmlinuz-{KERNEL}": ""}, "Candidate: 6.1", "offered"),
        ({f"boot/vmlinuz-{KERNEL}": ""}, "Candidate: (none)", "missing"),
        ({f"boot/vmlinuz-{KERNEL}": ""}, None, None),
    ],
)
def test_headers_are_there_or_offered_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | bytes], candidate: str | None, expected: str | None
) -> None:
    lay(tmp_path, files)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if candidate is not None:
        lay(tmp_path, {"bin/apt-cache": f"#!/bin/sh\necho '{candidate}'\n"})
        (tmp_path / "bin/apt-cache").chmod(0o755)
    assert probe_health.headers(tmp_path) == expected


@pytest.mark.parametrize(("kind", "expected"), [("identity", "passthrough"), ("DMA", "translating"), (None, None)])
def test_the_iommu(tmp_path: Path, kind: str | None, expected: str | None) -> None:
    if kind:
        lay(tmp_path, {"sys/kernel/iommu_groups/1/type": f"{kind}\n"})
    assert probe_health.iommu(tmp_path) == expected

"""What the look at a host's driver reads, which packages a plan comes to, and how the key of a host with Secure Boot is enrolled."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils import driver, probe_health, probe_system
from ansible_collections.rackstart.cluster.plugins.modules import mok, nvidia_driver

from tests.unit.role_tasks import play

ROOT = Path(__file__).parents[2]
VARS = yaml.safe_load((ROOT / "roles/nvidia_driver/vars/main.yml").read_text())
TABLES: dict[str, Any] = VARS["__nvidia_driver_distributions"]
T4, V100, H100, B200 = "0x1eb8", "0x1db4", "0x2330", "0x2901"
KERNEL = "6.1.0-40-amd64"
HEADERS = [f"linux-headers-{KERNEL}", "linux-headers-amd64"]
SLOT = "sys/bus/pci/devices/0000:17:00.0"


def lay(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"{SLOT}/vendor": "0x10de\n", f"{SLOT}/class": "0x030200\n"}, 0),
        ({f"{SLOT}/vendor": "0x10de\n", f"{SLOT}/class": "0x068000\n"}, 1),
        ({f"{SLOT}/vendor": "0x8086\n", f"{SLOT}/class": "0x068000\n"}, 0),
        ({"sys/class/infiniband/mlx5_0/device/vpd": "a network adapter"}, 0),
        ({f"sys/class/infiniband/mlx5_{number}/device/vpd": "\x82SW_MNG\x90" for number in range(2)}, 2),
    ],
)
def test_nvswitches_are_found_on_both_kinds_of_boards(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    lay(tmp_path, files)
    assert probe_health.switches(tmp_path) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("", ""),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.173.02  Release Build\nGCC version: 12\n", "open"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.173.02  Thu Jan 1\n", "proprietary"),
    ],
)
def test_the_kind_of_the_loaded_modules(tmp_path: Path, version: str, expected: str) -> None:
    lay(tmp_path, {"proc/driver/nvidia/version": version})
    assert probe_health.modules(tmp_path) == expected


@pytest.mark.parametrize(("state", "expected"), [(None, False), ("\x06\0\0\0\0", False), ("\x06\0\0\0\1", True)])
def test_secure_boot(tmp_path: Path, state: str | None, expected: bool) -> None:
    if state is not None:
        lay(tmp_path, {"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": state})
    assert bool(probe_system.secure_boot(tmp_path)) is expected


@pytest.mark.parametrize(
    ("case", "look", "expected"),
    [
        ("nothing there", {}, ""),
        ("as wanted", {"driver_version": "580.173.02"}, ""),
        ("nouveau", {"nouveau_loaded": True}, "nouveau holds the GPUs"),
        ("library and module differ", {"nvidia_smi": {"rc": 18}}, "the kernel holds another driver than 580.173.02"),
        ("another version", {"driver_version": "580.95.05"}, "the kernel holds another driver than 580.173.02"),
    ],
)
def test_a_reboot_has_a_reason(case: str, look: dict[str, Any], expected: str) -> None:
    seen = {"driver_version": None, "nouveau_loaded": False, "nvidia_smi": {"rc": 0}} | look
    assert nvidia_driver.staleness(seen, {"version": "580.173.02-1", "modules": "open"}) == expected, case


def test_any_version_of_a_wanted_branch_will_do() -> None:
    seen = {"driver_version": "580.95.05", "nouveau_loaded": False, "nvidia_smi": {"rc": 0}}
    assert nvidia_driver.staleness(seen, {"version": "580", "modules": "open"}) == ""
    assert nvidia_driver.staleness(seen, {"version": "58", "modules": "open"}) != ""


@pytest.mark.parametrize(
    ("case", "rc", "listed", "state", "fabric", "expected"),
    [
        ("all there", 0, 2, "N/A", "", ""),
        ("one is missing", 0, 1, "N/A", "", "nvidia-smi lists 1 of 2 GPUs (exit 0)"),
        ("no driver", 9, 0, "N/A", "", "nvidia-smi lists 0 of 2 GPUs (exit 9)"),
        ("a fabric", 0, 2, "Completed", "nvswitch", ""),
        ("a fabric that is not set up", 0, 2, "In Progress", "nvswitch", "the fabric of 1 GPUs is In Progress"),
        ("a board without switches", 0, 2, "In Progress", "", ""),
    ],
)
def test_why_not_every_gpu_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, rc: int, listed: int, state: str, fabric: str, expected: str
) -> None:
    lay(tmp_path, {"nvidia-smi": f"#!/bin/sh\nprintf '    Fabric\\n        State                 : {state}\\n'\n"})
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(nvidia_driver.probe_health, "xids", lambda: [])
    look = {"pci_gpus": [{}, {}], "nvidia_smi": {"rc": rc, "gpus": [{}] * listed, "error": ""}}
    found = nvidia_driver.shortfall(look, {"fabric": fabric})
    assert found.startswith(expected), case
    assert bool(found) == bool(expected), case


@pytest.mark.parametrize(
    ("distribution", "devices", "pinned", "floating", "needs"),
    [
        ("debian", [T4], ["nvidia-driver-cuda", "nvidia-kernel-open-dkms"], [], HEADERS),
        ("debian", [V100], ["nvidia-driver-cuda", "nvidia-kernel-dkms"], [], HEADERS),
        ("debian", [H100], ["nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-fabricmanager"], [], HEADERS),
        ("debian", [B200], ["nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-fabricmanager"], ["nvlsm"], HEADERS),
        (
            "ubuntu", [H100],
            [
                "nvidia-utils-580-server", "nvidia-compute-utils-580-server", "nvidia-headless-no-dkms-580-server-open",
                "nvidia-fabricmanager-580",
            ],
            [f"linux-modules-nvidia-580-server-open-{KERNEL}", "linux-modules-nvidia-580-server-open-amd64"], [],
        ),
        (
            "ubuntu", [V100],
            ["nvidia-utils-580-server", "nvidia-compute-utils-580-server", "nvidia-headless-no-dkms-580-server"],
            [f"linux-modules-nvidia-580-server-{KERNEL}", "linux-modules-nvidia-580-server-amd64"], [],
        ),
        (
            "rhel", [B200], ["nvidia-driver-cuda", "nvidia-persistenced", "kmod-nvidia-open-dkms", "nvidia-fabricmanager"], ["nvlsm"],
            [f"kernel-devel-{KERNEL}", f"kernel-devel-matched@{KERNEL}"],
        ),
        (
            "rhel", [V100], ["nvidia-driver-cuda", "nvidia-persistenced", "kmod-nvidia-latest-dkms"], [],
            [f"kernel-devel-{KERNEL}", f"kernel-devel-matched@{KERNEL}"],
        ),
    ],
)  # fmt: skip
def test_a_plan_comes_to_packages(distribution: str, devices: list[str], pinned: list[str], floating: list[str], needs: list[str]) -> None:
    plan = driver.resolve(devices, "580.173.02-1", switches=any("fabricmanager" in name for name in pinned))
    kernels = ["linux-image-amd64"] if distribution == "ubuntu" else []
    expected = {"pinned": pinned, "floating": floating, "needs": needs, "kernels": kernels}
    assert driver.packages(plan, TABLES[distribution], KERNEL, "amd64") == expected
    for name in pinned + floating:
        assert any(Path(name).match(pattern) for pattern in driver.globs(TABLES[distribution]))


def test_without_a_packaged_kernel_nothing_is_made_for_it() -> None:
    named = driver.packages(driver.resolve([T4], "580"), TABLES["ubuntu"], "", "")
    assert named["floating"] == named["needs"] == named["kernels"] == []


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("6.1.0-40-amd64", "amd64"),
        ("6.1.0-40-cloud-amd64", "cloud-amd64"),
        ("6.12.43+deb13-amd64", "amd64"),
        ("6.8.0-45-generic", "generic"),
        ("", ""),
    ],
)
def test_flavours_of_kernels(kernel: str, expected: str) -> None:
    assert driver.flavour(kernel) == expected


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ("linux-image-generic", "generic"),
        ("linux-image-generic-hwe-24.04", "generic-hwe-24.04"),
        ("linux-image-generic-hwe-22.04", "generic"),
    ],
)
def test_ubuntus_newer_kernels_are_followed_where_the_host_follows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, expected: str
) -> None:
    query = '#!/bin/sh\nfor word; do [ "$word" != "$THERE" ] || echo "installed $word 6.14.0-35 install"; done\n'
    lay(tmp_path, {"dpkg-query": query})
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("THERE", there)
    line = nvidia_driver.line(TABLES["ubuntu"], "6.14.0-35-generic", "24.04")
    assert line == expected
    named = driver.packages(driver.resolve([H100], "580"), TABLES["ubuntu"], "6.14.0-35-generic", line)
    assert named["floating"] == [f"linux-modules-nvidia-580-server-open-{name}" for name in ("6.14.0-35-generic", expected)]
    assert named["kernels"] == [f"linux-image-{expected}"]


@pytest.mark.parametrize(
    ("distribution", "packages", "expected"),
    [
        ("debian", {}, "Fabric Manager missing beside driver 580.95.05"),
        ("debian", {"nvidia-fabricmanager": ["580.95.05-1"]}, "driver 580.95.05, open kernel modules, Fabric Manager, already there"),
        ("debian", {"nvidia-fabricmanager": ["580.82.07-1"]}, "Fabric Manager 580.82.07-1 beside driver 580.95.05"),
        ("rhel", {"nvidia-fabricmanager": ["580.95.05-1"], "nvlsm": ["2025.06-1"]}, "already there"),
        ("ubuntu", {"nvidia-fabricmanager-580": ["580.95.05-1"]}, "already there"),
        ("ubuntu", {nvidia_driver.FABRIC_MANAGER: ["580.95.05-1"]}, "already there"),
        ("ubuntu", {"nvidia-utils-580-server": ["580.95.05-1"]}, "driver 580.173.02-1, open kernel modules, Fabric Manager"),
        ("debian", {"nvidia-kernel-open-dkms": ["580.95.05-1"]}, "driver 580.173.02-1, open kernel modules, Fabric Manager"),
    ],
)
def test_a_driver_that_came_by_other_means_needs_fabric_manager_of_its_version(
    monkeypatch: pytest.MonkeyPatch, distribution: str, packages: dict[str, list[str]], expected: str
) -> None:
    monkeypatch.setattr(nvidia_driver.probe_health, "modules", lambda: "open")
    monkeypatch.setattr(nvidia_driver.probe_health, "runfile", lambda: False)
    there = nvidia_driver.present(TABLES[distribution], {"driver_version": "580.95.05"}, packages)
    plan = driver.resolve([H100], "580.173.02-1", present=there, switches=True)
    assert expected in plan["seen"]
    assert plan["ok"] is not expected.startswith("Fabric Manager")


@pytest.mark.parametrize(
    ("id", "version", "expected"),
    [
        ("debian", "13", ("debian", "debian13")),
        ("ubuntu", "24.04", ("ubuntu", "ubuntu2404")),
        ("rocky", "9.6", ("rhel", "rhel9")),
        ("arch", "", ("arch", "arch")),
    ],
)
def test_names_of_distributions(id: str, version: str, expected: tuple[str, str]) -> None:
    assert nvidia_driver.family({"id": id, "version_id": version}) == expected


@pytest.mark.parametrize(
    ("wanted", "exact", "expected"),
    [
        ("580.173.02-1", True, "580.173.02-1"),
        ("580.173.02-1", False, "580.173.02-*"),
        ("580.173.02", True, "580.173.02-*"),
        ("580", True, "580.*"),
    ],
)
def test_versions_that_packages_may_have(wanted: str, exact: bool, expected: str) -> None:
    assert driver.pattern(wanted, exact) == expected


def test_what_dnf_has_locked_counts_as_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "# Added lock on Wed Nov 25\nnvidia-driver-cuda-3:580.173.02-1.el9.*\n!kmod-nvidia-open-dkms-3:595.91.07-1.el9.*\n"
    lay(tmp_path, {"etc/dnf/plugins/versionlock.list": lines, "rpm": "#!/bin/sh\nprintf 'installed %s 580.173.02-1.el9\\n' $LISTED\n"})
    (tmp_path / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LISTED", "nvidia-driver-cuda kmod-nvidia-open-dkms")
    assert nvidia_driver.installed("dnf", ["*nvidia*"], tmp_path) == {
        "nvidia-driver-cuda": ["580.173.02-1.el9", "hold"],
        "kmod-nvidia-open-dkms": ["580.173.02-1.el9"],
    }


RPM = """#!/bin/sh
# Finds packages by NAME or by NAME-VERSION-RELEASE.ARCH, with --all by NAME alone.
for word in "$@"; do
  case $word in
  --all) all=yes ;;
  --*) ;;
  *) awk -v word="$word" -v all="$all" '$1 == word || (!all && $2 == word) {print "installed", $0}' there ;;
  esac
done
"""
RELEASE = "5.14.0-570.12.1.el9_6.x86_64"
OWN, NEXT = (f"kernel-devel {name}" for name in (f"kernel-devel-{RELEASE}", "kernel-devel-5.14.0-570.17.1.el9_6.x86_64"))
MATCHED = f"kernel-devel-matched kernel-devel-matched-{RELEASE}"
NEXT_MATCHED = "kernel-devel-matched kernel-devel-matched-5.14.0-570.17.1.el9_6.x86_64"


@pytest.mark.parametrize(
    ("case", "there", "expected"),
    [
        ("a new host", [], [f"kernel-devel-{RELEASE}", f"kernel-devel-matched-{RELEASE}"]),
        ("as the role leaves it", [OWN, MATCHED], []),
        ("after an upgrade, before the reboot", [OWN, NEXT, NEXT_MATCHED], []),
        ("headers of another kernel alone", [NEXT, NEXT_MATCHED], [f"kernel-devel-{RELEASE}"]),
        ("headers that came by hand", [OWN], [f"kernel-devel-matched-{RELEASE}"]),
    ],
)
def test_rhel_lacks_the_headers_of_its_own_kernel_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, there: list[str], expected: list[str]
) -> None:
    lay(tmp_path, {"rpm": RPM, "there": "".join(f"{line}\n" for line in there)})
    (tmp_path / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    needs = driver.packages(driver.resolve([T4], "580"), TABLES["rhel"], RELEASE, "")["needs"]
    assert nvidia_driver.missing(TABLES["rhel"], needs) == expected, case


Look = Callable[..., dict[str, Any]]
QUERY = """#!/bin/sh
# dpkg-query finds packages by wildcards, rpm only with --all.
case "${0##*/} $*" in "rpm "*--all*|dpkg-query*) wild=yes ;; esac
for word; do
  while read -r name rest; do
    case "$name" in "$word") echo "installed $name $rest" ;; $word) [ -z "$wild" ] || echo "installed $name $rest" ;; esac
  done <there
done
"""
UBUNTU = [
    "nvidia-utils-580-server", "nvidia-compute-utils-580-server", "nvidia-headless-no-dkms-580-server-open",
    "linux-modules-nvidia-580-server-open-6.8.0-138-generic", "linux-modules-nvidia-580-server-open-generic",
]  # fmt: skip
ROCKY = ["nvidia-driver-cuda", "nvidia-persistenced", "kmod-nvidia-open-dkms"]
ALONG = ["nvidia-modprobe", "nvidia-driver-cuda-libs", "libnvidia-ml"]
OTHERS = ["nvidia-container-toolkit 1.20.0-1", "libnvidia-container1 1.20.0-1", "libnvsdm 595.91.07-1.el9"]


def at(version: str, names: list[str], want: str = "") -> list[str]:
    return [f"{name} {version} {want}" for name in names]


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """looked(distribution, there, locks, version): what the module answers on a host with a T4 and these packages."""
    for name in ("dpkg-query", "rpm"):
        lay(tmp_path, {name: QUERY})
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def run(distribution: str, there: list[str], locks: list[str] | None = None, version: str | None = None) -> dict[str, Any]:
        lay(tmp_path, {"there": "".join(f"{line}\n" for line in there)})
        kernels = {"ubuntu": "6.8.0-138-generic", "rocky": RELEASE}
        system = {"id": distribution, "version_id": "24.04", "name": distribution}
        identity = {"os": system, "kernel": kernels[distribution], "kernel_packaged": True}
        smi = {"rc": 0, "gpus": [{}], "error": ""}
        gpu = {"pci_gpus": [{"device_id": T4}], "driver_version": version, "nouveau_loaded": False, "nvidia_smi": smi}
        for module, name, answer in [
            (nvidia_driver.probe, "identity", identity), (nvidia_driver.probe, "gpu", gpu), (probe_health, "switches", 0),
            (probe_health, "modules", "open"), (probe_health, "runfile", False), (probe_system, "secure_boot", False),
        ]:  # fmt: skip
            monkeypatch.setattr(module, name, lambda answer=answer: answer)
        monkeypatch.setattr(probe_system, "locked_versions", lambda _root: locks or [])
        settings = {"version": "580.173.02-1", "distributions": TABLES}
        with patch_module_args(settings), pytest.raises(SystemExit):
            nvidia_driver.main()
        return dict(json.loads(capsys.readouterr().out))

    return run


IMAGE = "linux-image-generic"
HELD, OLDER = (at(f"{version}-0ubuntu1", UBUNTU, "hold") for version in ("580.173.02", "580.95.05"))


@pytest.mark.parametrize(
    ("case", "there", "held", "loose", "locked"),
    [
        ("a new host", at("6.8.0-138.138", [IMAGE], "install"), [*UBUNTU, IMAGE], [*UBUNTU, IMAGE], []),
        ("without that package", [], UBUNTU, UBUNTU, []),
        ("as the role leaves it", [*HELD, *at("6.8.0-138.138", [IMAGE], "hold")], [*UBUNTU, IMAGE], [], []),
        ("a kernel that may go on", [*HELD, *at("6.8.0-138.138", [IMAGE], "install")], [*UBUNTU, IMAGE], [IMAGE], []),
        ("another version", [*OLDER, *at("6.8.0-138.138", [IMAGE], "hold")], [*UBUNTU, IMAGE], UBUNTU, UBUNTU),
    ],
)  # fmt: skip
def test_on_ubuntu_the_next_kernel_is_held_beside_the_driver(
    looked: Look, case: str, there: list[str], held: list[str], loose: list[str], locked: list[str]
) -> None:
    seen = looked("ubuntu", there)
    assert (seen["held"], seen["loose"], seen["locked"], seen["surplus"]) == (held, loose, locked, []), case
    assert [name for name in seen["lacking"] if name.startswith("linux-image")] == []


def test_beside_an_adopted_driver_no_kernel_is_held(looked: Look) -> None:
    seen = looked("ubuntu", at("6.8.0-138.138", [IMAGE], "install"), version="580.95.05")
    assert seen["plan"]["adopt"]
    assert IMAGE not in seen["held"]


NOW, OLD = at("580.173.02-1.el9", [*ROCKY, *ALONG]), at("580.95.05-1.el9", [*ROCKY, *ALONG])
MANAGER = at("580.173.02-1.el9", ["nvidia-fabricmanager"])


@pytest.mark.parametrize(
    ("case", "there", "locks", "held", "loose", "locked"),
    [
        ("a new host", OTHERS, [], ROCKY, ROCKY, []),
        ("just installed", [*NOW, *OTHERS], [], [*ROCKY, *ALONG], [*ROCKY, *ALONG], []),
        ("what came along is not locked", [*NOW, *OTHERS], ROCKY, [*ROCKY, *ALONG], ALONG, []),
        ("as the role leaves it", [*NOW, *OTHERS], [*ROCKY, *ALONG], [*ROCKY, *ALONG], [], []),
        ("another version", [*OLD, *OTHERS], [*ROCKY, *ALONG, "libnvsdm"], [*ROCKY, *ALONG], [*ROCKY, *ALONG], [*ROCKY, *ALONG]),
        ("switches that are gone", [*NOW, *MANAGER], [*ROCKY, *ALONG], [*ROCKY, *ALONG], [], []),
    ],
)  # fmt: skip
def test_on_rhel_all_that_came_along_with_the_driver_is_held(
    looked: Look, case: str, there: list[str], locks: list[str], held: list[str], loose: list[str], locked: list[str]
) -> None:
    seen = looked("rocky", there, locks)
    assert (seen["held"], seen["loose"], seen["locked"]) == (held, loose, locked), case


@pytest.mark.parametrize("image", [f"boot/initrd.img-{KERNEL}", f"boot/initramfs-{KERNEL}.img"])
def test_an_initial_file_system_that_is_older_than_the_blacklist(tmp_path: Path, image: str) -> None:
    lay(tmp_path, {image: "", "boot/initrd.img-6.1.0-9-amd64": ""})
    assert nvidia_driver.outdated(KERNEL, tmp_path) == "", "no blacklist yet"
    lay(tmp_path, {nvidia_driver.BLACKLIST: "blacklist nouveau\n"})
    blacklisted = (tmp_path / nvidia_driver.BLACKLIST).stat().st_mtime
    os.utime(tmp_path / image, (blacklisted - 1, blacklisted - 1))
    assert nvidia_driver.outdated(KERNEL, tmp_path) == str(tmp_path / image)
    os.utime(tmp_path / image, (blacklisted + 1, blacklisted + 1))
    assert nvidia_driver.outdated(KERNEL, tmp_path) == "", "rebuilt since"
    (tmp_path / image).unlink()
    assert nvidia_driver.outdated(KERNEL, tmp_path) == "", "a host that boots without one"


def test_the_initial_file_systems_of_all_kernels_are_rebuilt() -> None:
    every = {"debian": {"-k", "all"}, "ubuntu": {"-k", "all"}, "rhel": {"--regenerate-all"}}
    assert {name for name, table in TABLES.items() if every[name] <= set(table["initramfs"])} == set(every)


@pytest.mark.parametrize(
    ("case", "seen", "written", "install", "expected"),
    [
        ("as it was", {}, [], {"changed": False}, False),
        ("before a reboot", {"stale": "nouveau holds the GPUs"}, [], {"changed": True}, True),
        ("a run that was killed before", {"outdated": "/boot/initrd.img-6.1"}, [], None, True),
        ("packages that do not rebuild it", {"outdated": "/boot/initrd.img-6.1"}, [], {"changed": True}, True),
        ("the blacklist of an adopted driver", {}, ["/etc/modprobe.d/rackstart-nouveau.conf"], None, True),
        ("the blacklist that was taken away", {}, ["/etc/modprobe.d/rackstart-nouveau.conf"], {"changed": False}, True),
        ("packages that rebuild it", {}, ["/etc/modprobe.d/rackstart-nouveau.conf"], {"changed": True}, False),
        ("another file", {}, ["/etc/systemd/system/nvidia-persistenced.service.d/rackstart.conf"], None, False),
    ],
)
def test_when_the_initial_file_systems_are_rebuilt(
    case: str, seen: dict[str, str], written: list[str], install: dict[str, bool] | None, expected: bool
) -> None:
    tasks = yaml.safe_load((ROOT / "roles/nvidia_driver/tasks/load.yml").read_text())
    (when,) = (task["when"] for task in tasks if "initramfs" in str(task))
    environment = jinja2.Environment()
    environment.tests["changed"] = lambda result: result.get("changed", False)
    names: dict[str, Any] = {
        "__nvidia_driver_seen": {"stale": "", "outdated": ""} | seen,
        "__nvidia_driver_blacklist": {"changes": written},
        "__nvidia_driver_nouveau": VARS["__nvidia_driver_nouveau"],
    }
    names |= {} if install is None else {"__nvidia_driver_install": install}
    names["__nvidia_driver_outdated"] = environment.compile_expression(VARS["__nvidia_driver_outdated"].strip("{} "))(**names)
    assert environment.compile_expression(when)(**names) is expected, case


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("2026-11-25 10:00:00", ["although `/usr/sbin/update-initramfs -u -k all` went well", "Run that by hand there"]),
        (None, ["and there is no /usr/sbin/update-initramfs to rebuild it", "Rebuild it there with what has made it"]),
    ],
)
def test_an_initial_file_system_that_stays_old_is_refused_by_what_was_done(tmp_path: Path, start: str | None, said: list[str]) -> None:
    """The module command notes no start of what it has not started."""
    seen = {"outdated": f"/boot/initrd.img-{KERNEL}", "stale": "", "problem": ""}
    results: dict[str, Any] = {f"__nvidia_driver_{name}": {"changed": False} for name in ("reboot", "started")}
    results |= {"__nvidia_driver_rebuilt": {"changed": False, "start": start}, "__nvidia_driver_seen": seen}
    results |= {"__nvidia_driver_table": TABLES["debian"], "__nvidia_driver_plan": {"fabric": ""}}
    done = play(tmp_path, "nvidia_driver", "verify.yml", **results)
    assert done.code != 0
    printed = " ".join(done.output.split())
    assert [words for words in [*said, f"initrd.img-{KERNEL} on localhost", "run again"] if words not in printed] == []


MOKUTIL = """#!/bin/sh
# Stands in for mokutil: the request is a file, which the person at the console turns into an enrolled key.
case $1 in
--test-key)
  [ -e enrolled ] && echo "$2 is already enrolled" && exit 1
  [ -e request ] && echo "SKIP: $2 is already in the enrollment request" && exit 1
  echo "$2 is not enrolled" ;;
--import) read one; read two; [ "$one" = "$two" ] || { echo "Failed to enroll new keys" >&2; exit 255; }; echo "$one" >request ;;
--revoke-import) rm request ;;
esac
"""


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the stand-in for mokutil keeps its state in."""
    lay(tmp_path, {"mokutil": MOKUTIL, "mok.pub": "DER"})
    (tmp_path / "mokutil").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_request_has_a_password_that_root_alone_can_read(console: Path) -> None:
    password = mok.request(console / "mok.pub", console / "state/password", False)
    assert (console / "request").read_text().strip() == password == (console / "state/password").read_text()
    assert (console / "state/password").stat().st_mode & 0o777 == 0o600
    assert len(password) == 12


def test_a_pending_request_keeps_its_password(console: Path) -> None:
    first = mok.request(console / "mok.pub", console / "password", False)
    assert mok.request(console / "mok.pub", console / "password", True) == first


def test_a_request_of_somebody_else_is_made_anew(console: Path) -> None:
    lay(console, {"request": "unknown"})
    password = mok.request(console / "mok.pub", console / "password", True)
    assert (console / "request").read_text().strip() == password


def test_a_request_that_cannot_be_made_says_so(console: Path) -> None:
    lay(console, {"mokutil": "#!/bin/sh\necho 'Failed to write MokAuth' >&2\nexit 255\n"})
    with pytest.raises(RuntimeError, match="Failed to write MokAuth"):
        mok.request(console / "mok.pub", console / "password", False)


@pytest.fixture
def enrol(console: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """enrol(check=False): what the module answers on the host of the stand-in."""

    def run(check: bool = False) -> dict[str, Any]:
        settings = {"certificate": str(console / "mok.pub"), "password_file": str(console / "password"), "_ansible_check_mode": check}
        with patch_module_args(settings), pytest.raises(SystemExit):
            mok.main()
        out, err = capsys.readouterr()
        assert err == ""
        return dict(json.loads(out))

    return run


def test_a_key_is_enrolled_once_a_person_was_at_the_console(console: Path, enrol: Callable[..., dict[str, Any]]) -> None:
    foretold = enrol(check=True)
    assert (foretold["changed"], foretold["enrolled"]) == (True, False)
    assert not (console / "request").exists()

    asked = enrol()
    password = (console / "password").read_text()
    assert asked["failed"]
    assert "Enroll MOK" in asked["msg"]
    assert json.dumps(asked).count(password) == 1  # in what the person at the console has to do, and nowhere else

    pending = enrol(check=True)
    assert (pending["changed"], pending["enrolled"]) == (True, False)
    assert enrol()["msg"] == asked["msg"]

    (console / "request").rename(console / "enrolled")
    seen = [enrol(check=True), enrol(), enrol()]
    assert [(answer["changed"], answer["enrolled"]) for answer in seen] == [(True, True), (True, True), (False, True)]
    assert password not in json.dumps([foretold, pending, *seen])
    assert not (console / "password").exists()


def test_without_mokutil_a_dry_run_foretells_and_a_run_says_so(
    console: Path, enrol: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    foretold, failed = enrol(check=True), enrol()
    assert (foretold["changed"], foretold["enrolled"]) == (True, False)
    assert failed["failed"]
    assert failed["msg"].startswith("mokutil cannot be asked")


def test_without_a_key_a_dry_run_foretells_and_a_run_says_so(console: Path, enrol: Callable[..., dict[str, Any]]) -> None:
    (console / "mok.pub").unlink()
    assert enrol(check=True)["changed"]
    assert "DKMS has built and signed nothing" in enrol()["msg"]


def test_a_request_that_failed_does_not_show_its_password(console: Path, enrol: Callable[..., dict[str, Any]]) -> None:
    lay(console, {"mokutil": '#!/bin/sh\n[ "$1" = --import ] && read one && echo "Failed to enroll with $one"\nexit 255\n'})
    failed = enrol()
    assert failed["failed"]
    assert "Failed to enroll with ..." in failed["msg"]
    assert (console / "password").read_text() not in json.dumps(failed)

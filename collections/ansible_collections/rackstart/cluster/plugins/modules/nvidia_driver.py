#!/usr/bin/python
"""What a host needs for its GPUs, and how far it is from that."""

from __future__ import annotations

import fnmatch
import re
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import driver, probe, probe_health, probe_system

DOCUMENTATION = """
module: nvidia_driver
author: The Rackstart authors
short_description: What a host needs for its GPUs, and how far it is from that
description:
  - Looks at GPUs, NVSwitches, loaded modules and packages, changes nothing, and says what is to be done. Fails with the reason and
    the remedy where no driver can do what is asked for.
options:
  version:
    description: The wanted version of the driver, or its branch.
    type: str
    required: true
  modules:
    description: Kind of the kernel modules.
    type: str
    choices: [auto, open, proprietary]
    default: auto
  wait:
    description: Seconds to wait for every GPU to be usable.
    type: int
    default: 0
  distributions:
    description: "Packages by distribution: C(__nvidia_driver_distributions) of the role nvidia_driver."
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Only ever looks.
"""

EXAMPLES = """
- name: Look at the host
  rackstart.cluster.nvidia_driver:
    version: 580.173.02-1
    distributions: "{{ __nvidia_driver_distributions }}"
"""

RETURN = """
plan:
  description: version, branch, modules, fabric ("", nvswitch or nvlink5), adopt; seen explains it.
  type: dict
  returned: success
distribution:
  description: The entry of distributions that was used.
  type: str
  returned: success
release:
  description: The distribution with its version, as NVIDIA names its repositories, such as ubuntu2404.
  type: str
  returned: success
pattern:
  description: The versions that pinned packages may have, with wildcards.
  type: str
  returned: success
pinned:
  description: Packages of the driver's version.
  type: list
  elements: str
  returned: success
held:
  description: Packages that nothing but the role shall change.
  type: list
  elements: str
  returned: success
loose:
  description: Of held, what is not held yet, or will not be once the driver is replaced.
  type: list
  elements: str
  returned: success
lacking:
  description: What is not installed as wanted, as the package manager takes it.
  type: list
  elements: str
  returned: success
surplus:
  description: Packages of another kind or branch that are installed.
  type: list
  elements: str
  returned: success
locked:
  description: Packages that are held and would keep the driver from being replaced, those of surplus among them.
  type: list
  elements: str
  returned: success
stale:
  description: Why only a reboot brings the wanted driver into the kernel, or nothing.
  type: str
  returned: success
outdated:
  description: The running kernel's initial file system, where it is older than the role's blacklist of nouveau, or nothing.
  type: str
  returned: success
problem:
  description: Why the GPUs cannot all be used, or nothing.
  type: str
  returned: success
sign:
  description: Secure Boot is on, and the modules are built here.
  type: bool
  returned: success
drain:
  description: The host is a node whose pods what is to be done would disturb, or one that is cordoned.
  type: bool
  returned: success
cordoned:
  description: An earlier run has cordoned the node and was ended before it gave it back.
  type: bool
  returned: success
"""

CORDONED = "/var/lib/rackstart/cordoned"  # the playbook's note that it, and nobody else, has cordoned the node
BLACKLIST = "etc/modprobe.d/rackstart-nouveau.conf"
FABRIC_MANAGER = "nvidia-fabricmanager"  # in NVIDIA's own repositories, which a driver of Ubuntu's may have come from too
FAMILY = {"rocky": "rhel", "almalinux": "rhel"}
QUERIES = {
    "apt": ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version} ${db:Status-Want}\\n"],
    "dnf": ["rpm", "--query", "--queryformat=installed %{NAME} %{VERSION}-%{RELEASE}\\n"],
}


def family(system: dict[str, str]) -> tuple[str, str]:
    """Entry of the table, and name of NVIDIA's repository, for an operating system as os-release tells of it."""
    distribution = FAMILY.get(system["id"], system["id"])
    major, _, minor = system["version_id"].partition(".")
    return distribution, f"{distribution}{major}{minor if distribution == 'ubuntu' else ''}"


def installed(manager: str, names: list[str], root: Path = probe.ROOT) -> dict[str, list[str]]:
    """Version, and the word hold for one that is held, of each installed package that is named: to apt with wildcards, to rpm also with a
    version, or with wildcards behind --all, which finds nothing by a version. Without names both would list every package."""
    _, out, _ = probe.run(*QUERIES[manager], *names) if names else (0, "", "")
    found = {row[1]: row[2:] for row in map(str.split, out.splitlines()) if row[0] == "installed"}
    if manager == "dnf":
        for name in probe_system.locked_versions(root):
            found.get(name, []).append("hold")
    return found


def companions(table: dict[str, Any], found: dict[str, list[str]], root: Path = probe.ROOT) -> dict[str, list[str]]:
    """What came along with the driver's packages that were found: installed under one of NVIDIA's names, in a version that they have."""
    if not table["along"]:
        return {}
    numbers = {driver.number(rest[0]) for rest in found.values()}
    every = installed(table["manager"], ["--all", *table["along"]], root)
    return {name: rest for name, rest in every.items() if name not in found and driver.number(rest[0]) in numbers}


def present(table: dict[str, Any], look: dict[str, Any], found: dict[str, list[str]]) -> dict[str, Any]:
    """The driver that is there, as driver.resolve takes it, from the look at the GPUs and the packages that are installed."""
    return {
        "version": look["driver_version"],
        "modules": probe_health.modules(),
        "ours": any(fnmatch.filter(found, name) for name in driver.globs(table, driver.DRIVER)),
        "runfile": probe_health.runfile(),
        "fabric_manager": next((rest[0] for name, rest in found.items() if "fabricmanager" in name), None),
    }


def line(table: dict[str, Any], kernel: str, release: str) -> str:
    """What the packages that follow the distribution's next kernels are named by: its flavour, or on Ubuntu that of its newer kernels."""
    flavour = driver.flavour(kernel)
    newer = f"{flavour}-hwe-{release}"
    return newer if installed(table["manager"], [f"linux-image-{newer}"]) else flavour


def missing(table: dict[str, Any], needs: list[str]) -> list[str]:
    """Of a table's needs those that are not there, as its package manager takes them."""
    absent = [name for name in needs if not installed(table["manager"], [name.partition("@")[0]])]
    return [name.replace("@", table["separator"]) for name in absent]


def staleness(look: dict[str, Any], plan: driver.Plan) -> str:
    """Why the kernel must be started anew, or nothing. Exit code 18: library and loaded module differ."""
    there, wanted = look["driver_version"], driver.number(plan["version"])
    if look["nouveau_loaded"]:
        return "nouveau holds the GPUs"
    if look["nvidia_smi"]["rc"] == 18 or (there and there != wanted and not there.startswith(f"{wanted}.")):
        return f"the kernel holds another driver than {wanted}"
    if (kind := probe_health.modules()) not in ("", plan["modules"]):
        return f"the kernel holds the {kind} modules, not the {plan['modules']} ones"
    return ""


def outdated(kernel: str, root: Path = probe.ROOT) -> str:
    """The kernel's initial file system, where it is older than the blacklist, which then is not in it; else nothing."""
    blacklist = root / BLACKLIST
    images = [root / "boot" / name for name in (f"initrd.img-{kernel}", f"initramfs-{kernel}.img")]
    there = [image for image in images if image.exists() and blacklist.exists()]
    return next((str(image) for image in there if image.stat().st_mtime < blacklist.stat().st_mtime), "")


def node() -> bool:
    """k3s runs here."""
    units = [unit for unit in ("k3s", "k3s-agent") if Path(f"/etc/systemd/system/{unit}.service").exists()]
    return any(probe.run("systemctl", "is-active", unit)[0] == 0 for unit in units)


def shortfall(look: dict[str, Any], plan: driver.Plan) -> str:
    """Why the GPUs cannot all be used, or nothing."""
    smi, count = look["nvidia_smi"], len(look["pci_gpus"])
    if smi["rc"] == 0 and len(smi["gpus"]) == count:
        states = re.findall(r"Fabric\n\s+State\s+: (.*)", probe.run("nvidia-smi", "-q")[1]) if plan["fabric"] else []
        waiting = [state for state in states if state not in ("Completed", "N/A")]
        return f"the fabric of {len(waiting)} GPUs is {waiting[0]}: look at journalctl -u nvidia-fabricmanager" if waiting else ""
    lost = [f"Xid {found['xid']} at {found['slot']}" for found in probe_health.xids() or []]
    reasons = "; ".join(filter(None, [smi["error"].rstrip("."), *lost]))
    return f"nvidia-smi lists {len(smi['gpus'])} of {count} GPUs (exit {smi['rc']}){': ' if reasons else ''}{reasons}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "modules": {"type": "str", "choices": ["auto", "open", "proprietary"], "default": "auto"},
            "wait": {"type": "int", "default": 0},
            "distributions": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    params, host, look = module.params, probe.identity(), probe.gpu()
    distribution, release = family(host["os"])
    table = params["distributions"].get(distribution)
    if not table:
        names = ", ".join(sorted(params["distributions"]))
        module.fail_json(msg=f"The packages of the driver are not known for {host['os']['name']}, only for {names}.")

    found = installed(table["manager"], driver.globs(table))
    there = present(table, look, found | installed(table["manager"], [FABRIC_MANAGER]))
    devices = [gpu["device_id"] for gpu in look["pci_gpus"]]
    plan = driver.resolve(devices, params["version"], params["modules"], there, bool(probe_health.switches()))
    if not plan["ok"]:
        module.fail_json(msg=f"{plan['seen'][:1].upper()}{plan['seen'][1:]}: {plan['remedy']}.", plan=plan)

    kernel = host["kernel"] if host["kernel_packaged"] else ""
    names = driver.packages(plan, table, kernel, line(table, kernel, host["os"]["version_id"]))
    along = {} if plan["adopt"] else companions(table, found)
    kernels = {} if plan["adopt"] else installed(table["manager"], names["kernels"])
    held = [*names["pinned"], *names["floating"], *along, *kernels]
    versions = driver.pattern(plan["version"], table["exact"])
    sign = bool(probe_system.secure_boot()) and not table["signed"]
    needs = names["needs"] + (["mokutil"] if sign else [])
    absent = missing(table, needs) + [name for name in names["floating"] if name not in found]
    wrong = [name for name in names["pinned"] if not fnmatch.fnmatchcase(found.get(name, [""])[0], versions)]
    stale = staleness(look, plan)
    looked = time.monotonic()
    while (problem := shortfall(look, plan)) and time.monotonic() - looked < params["wait"]:
        time.sleep(2)
        look = probe.gpu()
    surplus = [] if plan["adopt"] else [name for name in found if name not in held + needs]
    found |= along | kernels
    replaced = [*wrong, *names["floating"], *along] if wrong and not plan["adopt"] else []
    locked = [name for name in surplus + replaced if "hold" in found.get(name, [])]
    disturbing, cordoned = bool(stale or (wrong and not plan["adopt"])) and node(), Path(CORDONED).exists()
    module.exit_json(
        changed=False,
        plan=plan,
        distribution=distribution,
        release=release,
        pattern=versions,
        pinned=names["pinned"],
        held=held,
        loose=[name for name in held if name in locked or "hold" not in found.get(name, [])],
        lacking=[] if plan["adopt"] else [*absent, *(f"{name}{table['separator']}{versions}" for name in wrong)],
        surplus=surplus,
        locked=locked,
        stale=stale,
        outdated=outdated(host["kernel"]),
        problem=problem,
        sign=sign and not plan["adopt"],
        drain=disturbing or cordoned,
        cordoned=cordoned,
    )


if __name__ == "__main__":
    main()

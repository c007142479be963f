"""Preflight's checks of each host's operating system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CLOCK, MEMORY, NOFILE
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, probed, told

# What the roles install packages on; of RHEL and its rebuilds, every minor version
SUPPORTED = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04"), "rhel": ("9",), "rocky": ("9",)}
RUN = ("debian",)  # what tests run for real; of the others they play the roles on Debian hosts that report to be one
TIME_SERVICES = ("chrony", "chronyd", "ntp", "ntpd", "ntpsec", "openntpd", "systemd-timesyncd")
INOTIFY = {"instances": 8192, "watches": 524288}  # what stage host sets
NEEDED = ("overlay", "br_netfilter", "nf_conntrack", "vxlan")
NODES = ("k3s_server", "k3s_agent")


def check(look: Look) -> Iterator[Finding]:
    for name, host, probe in probed(look):
        yield from _system(name, probe)
        yield from _clock(name, probe)
        yield from _packages(name, host, probe, look["repositories"])
    for name, host, probe in probed(look, *NODES):
        yield from _size(name, host, probe)
        yield from _kernel(name, host, probe)
        yield from _security(name, probe, look)


def _system(name: str, probe: dict[str, Any]) -> Iterator[Finding]:
    system = probe["os"]
    id, version = system["id"], system["version_id"]
    supported = bool({version, version.partition(".")[0]} & {*SUPPORTED.get(id, ())})
    yield finding("os.supported", name, supported, f"{id} {version}" + (" (tests emulate it)" if supported and id not in RUN else ""))
    yield finding("os.architecture", name, probe["arch"] == "x86_64", probe["arch"])
    due = probe["reboot"]
    seen = "nothing tells which kernel boots next" if due is None else due or "none"
    yield finding("os.reboot", name, None if due is None else not due, seen)


def _clock(name: str, probe: dict[str, Any]) -> Iterator[Finding]:
    offset, synchronised = probe["time_offset"], probe["clock_synchronised"]
    yield finding("os.clock", name, abs(offset) < CLOCK, f"{offset} s")
    running = [unit for unit in TIME_SERVICES if probe["units"].get(unit) == "active"]
    seen = told(running) if probe["units"] else "systemd did not say"
    yield finding("os.time_service", name, bool(running) if probe["units"] else None, seen)
    words = {None: "the kernel did not say", True: "synchronised", False: "not synchronised"}
    yield finding("os.time_synchronised", name, synchronised, words[synchronised])


def _packages(name: str, host: dict[str, Any], probe: dict[str, Any], repositories: dict[str, str]) -> Iterator[Finding]:
    dpkg = probe["packages"]
    if dpkg is None:  # only dpkg's files can be read without running the package manager
        for id in ("os.packages", "os.package_lock", "os.held"):
            yield finding(id, name, None, "there is no dpkg")
        return
    yield finding("os.packages", name, not dpkg["broken"], told(dpkg["broken"], "all whole"))
    yield finding("os.package_lock", name, not dpkg["lock"], dpkg["lock"] or "nobody")
    ours = ("nvidia", "linux-image-") if "gpu" in host["groups"] and probe["os"]["id"] == "ubuntu" else ("nvidia",)
    held = [package for package in dpkg["held"] if not any(part in package for part in ours)]
    yield finding("os.held", name, not held, told(held))
    if "gpu" in host["groups"]:
        system = probe["os"]
        driver = [] if system["id"] == "ubuntu" else [f"nvidia_driver_{system['id']}{system['version_id']}"]  # Ubuntu's is in its archive
        addresses = [repositories.get(key, "").rstrip("/") for key in ("nvidia_container_toolkit_deb", *driver)]
        twice = [f"{address} in {dpkg['sources'][address]}" for address in addresses if address in dpkg["sources"]]
        yield finding("os.sources", name, not twice, told(twice))
        loose = dpkg["unattended"] and dpkg["driver_unheld"]
        seen = f"on, and not held: {told(dpkg['driver_unheld'][:4])}" if loose else "on, held" if dpkg["unattended"] else "off"
        yield finding("os.unattended", name, not loose, seen)


def _size(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    least = max(MEMORY.get(group, 0) for group in host["groups"])
    yield finding("os.memory", name, probe["memory_mib"] >= least, f"{probe['memory_mib']} MiB", least=least)
    yield finding("os.swap", name, not probe["swap"], told(probe["swap"]))
    limits = probe["inotify"]
    low = any(limits[what] < least for what, least in INOTIFY.items() if limits[what] is not None)
    known = None not in limits.values()
    yield finding("os.inotify", name, not low if known else None, told(f"{value} {what}" for what, value in limits.items()))
    limit = probe["nofile"]
    yield finding("os.nofile", name, None if limit is None else limit >= NOFILE, "systemd did not say" if limit is None else limit)


def _kernel(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    modules = probe["modules"]
    missing = [module for module in NEEDED if modules[module] is False]
    unseen = [module for module in NEEDED if modules[module] is None]
    seen = f"{told(missing)} missing" if missing else f"no list of modules tells of {told(unseen)}" if unseen else "all there"
    yield finding("os.modules", name, False if missing else None if unseen else True, seen)
    if "gpu" in host["groups"]:
        words = {None: "no list of modules tells", True: "the module nfs is there", False: "no module nfs"}
        yield finding("os.nfs_client", name, modules["nfs"], words[modules["nfs"]])


def _security(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    allowed = all(config.get("selinux") is True for config in look["k3s_config"].values())
    yield finding("os.selinux", name, probe["selinux"] != "enforcing" or allowed, probe["selinux"])
    seen = "off" if not probe["apparmor"] else "on, with its parser" if probe["apparmor_parser"] else "on, without apparmor_parser"
    yield finding("os.apparmor", name, not probe["apparmor"] or probe["apparmor_parser"], seen)

"""Reads a host's operating system: clocks, kernel, limits, security modules, packages. From files, but for systemctl and grubby."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.probe import ROOT, run, text

MODULES = ("overlay", "br_netfilter", "nf_conntrack", "vxlan", "nfs")
TRACES = {"br_netfilter": "proc/sys/net/bridge", "nf_conntrack": "proc/sys/net/netfilter/nf_conntrack_max"}  # of a module that is loaded
UNITS = (
    "chrony", "chronyd", "ntp", "ntpd", "ntpsec", "openntpd", "systemd-timesyncd", "firewalld", "docker", "containerd",
    "nvidia-fabricmanager",
)  # fmt: skip
UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
DRIVER = re.compile(r"(nvidia-(driver|kernel|dkms|headless|compute)|libnvidia-|libcuda1|cuda-drivers|linux-modules-nvidia)")
IN_USE = ("install", "installed")  # want and state of a package that an upgrade may replace
LOCKS = ("var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/apt/lists/lock")


def system(root: Path = ROOT) -> dict[str, Any]:
    """What the operating system is set to; None stands for what cannot be seen here."""
    return {
        "ssh_keys": ssh_keys(root),
        "product_uuid": text(root / "sys/class/dmi/id/product_uuid").lower(),
        "units": units(),
        "clock_synchronised": clock_synchronised(),
        "modules": {name: module(name, root) for name in MODULES},
        "inotify": {name: _number(root / f"proc/sys/fs/inotify/max_user_{name}") for name in ("instances", "watches")},
        "nofile": nofile(root),
        "selinux": {"1": "enforcing", "0": "permissive"}.get(text(root / "sys/fs/selinux/enforce"), "off"),
        "apparmor": text(root / "sys/module/apparmor/parameters/enabled") == "Y",
        "apparmor_parser": any((root / place / "apparmor_parser").exists() for place in ("sbin", "usr/sbin")),
        "secure_boot": secure_boot(root),
        "cgroup_version": cgroup_version(root),
        "reboot": reboot(root),
        "packages": packages(root),
        "firewalls": ["ufw"] if re.search(r"^ENABLED=yes", text(root / "etc/ufw/ufw.conf"), re.M) else [],
        "proxies": proxies(root),
    }


def _number(path: Path) -> int | None:
    value = text(path)
    return int(value) if value.isdigit() else None


def ssh_keys(root: Path = ROOT) -> list[str]:
    """A digest of each ssh host key's public half."""
    keys = (text(path).split() for path in sorted((root / "etc/ssh").glob("ssh_host_*_key.pub")))
    return [f"{key[0]} {hashlib.sha256(key[1].encode()).hexdigest()[:16]}" for key in keys if len(key) > 1]


def units() -> dict[str, str]:
    """State of each unit of UNITS, as systemd calls it; empty without systemd."""
    states = run("systemctl", "is-active", *UNITS)[1].split()
    return {UNITS[place]: state for place, state in enumerate(states)} if len(states) == len(UNITS) else {}


def clock_synchronised() -> bool | None:
    """What the kernel says of its clock; asked without setting anything."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # room for struct timex; modes = 0 only reads
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != UNSYNCHRONISED


def module(name: str, root: Path = ROOT) -> bool | None:
    """Whether a kernel module is loaded, built in or can be loaded; None where the kernel's list of modules is not on the host."""
    if (root / "sys/module" / name).exists() or name in text(root / "proc/filesystems").split():
        return True
    if name in TRACES and (root / TRACES[name]).exists():
        return True
    folder = root / "lib/modules" / os.uname().release
    known = text(folder / "modules.dep") + text(folder / "modules.builtin")
    return f"/{name}.ko" in known if known else None


def nofile(root: Path = ROOT) -> int | None:
    """Hard limit of open files of PID 1, which no unit can raise its own above without fs.nr_open's leave."""
    limit = re.search(r"^Max open files\s+\S+\s+(\d+)", text(root / "proc/1/limits"), re.M)
    return int(limit.group(1)) if limit else None


def secure_boot(root: Path = ROOT) -> bool | None:
    """Whether the firmware enforces Secure Boot; False on one that is no UEFI."""
    if not (root / "sys/firmware").exists():
        return None
    for variable in (root / "sys/firmware/efi/efivars").glob("SecureBoot-*"):
        return variable.read_bytes()[4:5] == b"\x01"
    return None if (root / "sys/firmware/efi").exists() else False


def cgroup_version(root: Path = ROOT) -> int | None:
    """2 for the unified hierarchy alone; 1 also where both are mounted."""
    if (root / "sys/fs/cgroup/cgroup.controllers").exists():
        return 2
    return 1 if (root / "sys/fs/cgroup").exists() else None


def reboot(root: Path = ROOT) -> str | None:
    """Why a reboot is due, empty when none is; None where nothing tells which kernel the next boot takes."""
    if (root / "run/reboot-required").exists():
        return f"asked for by {', '.join(text(root / 'run/reboot-required.pkgs').split()[:3]) or 'a package'}"
    running, folders = os.uname().release, root / "lib/modules"
    if folders.exists() and any(folders.iterdir()) and not (folders / running).exists():
        return f"the running kernel {running} was removed"
    links = (root / "vmlinuz", root / "boot/vmlinuz")
    kernels = [os.readlink(link) for link in links if link.is_symlink()]
    kernels = kernels or run("grubby", "--default-kernel")[1].split()  # RHEL has no links
    for kernel in kernels:
        if not kernel.endswith(f"vmlinuz-{running}"):
            return f"{kernel.rpartition('/')[2]} is installed, {running} runs"
    return "" if kernels else None


def packages(root: Path = ROOT) -> dict[str, Any] | None:
    """dpkg's view: broken, held and unheld driver packages, who holds a lock, whether upgrades run unattended; None without dpkg."""
    status = text(root / "var/lib/dpkg/status")
    if not status:
        return None
    row = re.compile(r"^Package: (\S+)\n(?:(?:Essential|Protected|Important): \S+\n)*Status: (\S+) (\S+) (\S+)", re.M)
    rows = row.findall(status)
    whole = ("installed", "config-files", "not-installed", "triggers-pending", "triggers-awaited")
    journal = [path.name for path in (root / "var/lib/dpkg/updates").glob("[0-9]*")]
    pinned = any("nvidia" in text(path) for path in (root / "etc/apt/preferences.d").glob("*"))
    periodic = "".join(text(path) for path in sorted((root / "etc/apt/apt.conf.d").glob("*")))
    return {
        "broken": [name for name, _, flag, state in rows if flag != "ok" or state not in whole] + (["dpkg itself"] if journal else []),
        "held": [name for name, want, _, _ in rows if want == "hold"],
        "driver_unheld": [] if pinned else [name for name, want, _, state in rows if (want, state) == IN_USE and DRIVER.match(name)],
        "unattended": re.search(r'^\s*APT::Periodic::Unattended-Upgrade\s+"[1-9]', periodic, re.M) is not None,
        "lock": lock(root),
        "sources": sources(root),
    }


def sources(root: Path = ROOT) -> dict[str, str]:
    """File of each address that apt reads packages from, but for files of Rackstart; an address as Rackstart writes it."""
    folder = root / "etc/apt/sources.list.d"
    found = {}
    for file in [root / "etc/apt/sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]:
        if file.suffix == ".list":
            addresses = re.findall(r"^\s*deb(?:-src)?\s+(?:\[[^]]*\]\s+)?(\S+)", text(file), re.M)
        else:
            stanzas = re.split(r"\n\s*\n", text(file))
            used = [stanza for stanza in stanzas if not re.search(r"^Enabled:\s*no", stanza, re.M | re.I)]
            addresses = [address for stanza in used for line in re.findall(r"^URIs:(.*)", stanza, re.M) for address in line.split()]
        if not file.name.startswith("rackstart-"):
            found |= {address.replace("$(ARCH)", "amd64").rstrip("/"): f"/{file.relative_to(root)}" for address in addresses}
    return found


def locked_versions(root: Path = ROOT) -> list[str]:
    """Names of the packages whose version dnf has locked, by lines such as NAME-EPOCH:VERSION-RELEASE.*"""
    return re.findall(r"^([^#!\s]\S*)-[^-\s]+-[^-\s]+$", text(root / "etc/dnf/plugins/versionlock.list"), re.M)


def lock(root: Path = ROOT) -> str:
    """The process that holds a lock of the package manager, empty for none."""
    inodes = {str((root / path).stat().st_ino): path for path in LOCKS if (root / path).exists()}
    for line in text(root / "proc/locks").splitlines():
        held = re.search(r"WRITE (\d+) \S+:\S+:(\d+) ", line)
        if held and held.group(2) in inodes:
            return f"{text(root / 'proc' / held.group(1) / 'comm') or 'process ' + held.group(1)} ({inodes[held.group(2)]})"
    return ""


def proxies(root: Path = ROOT) -> list[str]:
    """Proxies that the system is set to, each with its file; without passwords."""
    files = [root / "etc/environment", root / "etc/dnf/dnf.conf", root / "etc/yum.conf", root / "etc/apt/apt.conf"]
    pattern = re.compile(r"""^[^#\n]*?(?:https?_proxy|proxy|Proxy)\s*[= ]\s*["']?(https?://[^\s"';]+)""", re.M | re.I)
    found = {
        f"{re.sub('//[^@/]*@', '//***@', address)} in /{file.relative_to(root)}"
        for file in [*files, *(root / "etc/apt/apt.conf.d").glob("*")]
        for address in pattern.findall(text(file))
    }
    return sorted(found)

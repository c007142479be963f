"""Packages: which manager a host has, what its own database says is installed, and why an installation failed."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ansible.errors import AnsibleActionFail

# What the databases are asked: name, version and what else the package provides, of all that are installed.
LISTS = {
    "apt": ["dpkg-query", "--show", "--showformat=${db:Status-Status}\\t${Package}\\t${Version}\\t${Provides}\\n"],
    "dnf": ["rpm", "--query", "--all", "--queryformat=installed\\t%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t[%{PROVIDENAME},]\\n"],
}
RELEASE = "cat /etc/os-release"
INTERRUPTED = "dpkg --configure -a"  # what apt says to do about a dpkg that was killed
LOCKED = r"[Cc]ould not get lock|[Uu]nable to lock|lock-frontend"  # by another that is at work
BLIND = "must be installed to use check mode"  # without python3-apt, which a run installs
ENDED = "did not end within"  # how the become plugin ends a task that hangs
_REMEDIES = (  # the first that fits counts
    (r"No space left|Disk quota", "make room on its disk"),
    (LOCKED, "wait for the other package manager that is at work there"),
    (r"Conflicting values set for option Signed-By", "remove the file that is not Rackstart's: apt takes one key for a repository"),
    (r"No package matching|Unable to locate|no installation candidate|No package .* available|Version .* not found|no available",
     "look for these names and versions in the package sources that it knows"),
    (r"[Ff]ailed to (fetch|update|download)|Unable to fetch|Cannot download|[Cc]onnect|resolv|Hash Sum|timed out",
     "check its package sources, the proxy and the network"),
    (r"post-installation|pre-installation|maintainer script|scriptlet", "look at what that package's script complains of"),
)  # fmt: skip


def manager(os_release: str) -> str:
    """The package manager of a distribution, by its os-release; AnsibleActionFail for one that is neither Debian's nor Red Hat's kin."""
    fields = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\r\n]*)"?\r?$', os_release, re.M))  # sudo at a terminal ends lines so
    kin = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    if {"debian", "ubuntu"} & set(kin):
        return "apt"
    if {"rhel", "fedora", "centos"} & set(kin):
        return "dnf"
    raise AnsibleActionFail("This distribution has neither apt nor dnf; use one that preflight admits.")


def missing(manager: str, names: list[str], listing: str) -> list[str]:
    """The names that the database does not have as installed, by the manager's way to write a version."""
    versions: dict[str, set[str]] = {}
    for line in listing.splitlines():
        status, package, version, provides = [*line.split("\t"), "", "", "", ""][:4]
        if status == "installed":
            versions.setdefault(package, set()).add(version)
            for provided in filter(None, (part.split("(")[0].strip() for part in provides.split(","))):
                versions.setdefault(provided, set())
    installed = _apt if manager == "apt" else _dnf
    return [name for name in names if not installed(name, versions)]


def _apt(name: str, versions: dict[str, set[str]]) -> bool:
    package, exact, version = name.partition("=")
    package = re.split(r"[<>:]", package)[0]
    found = versions.get(package)
    if found is None:
        return any(fnmatchcase(other, package) for other in versions)
    return not exact or any(fnmatchcase(one, version) for one in found)


def _dnf(name: str, versions: dict[str, set[str]]) -> bool:
    if name.startswith("@") or name in versions:
        return True
    for package, found in versions.items():
        for one in found:  # EPOCH:VERSION-RELEASE; any of the three but the version may be left out
            forms = [f"{package}-{text}" for full in (one, one.partition(":")[2]) for text in (full, full.rpartition("-")[0])]
            if any(fnmatchcase(form, name) or fnmatchcase(name, f"{form}.*") for form in forms):
                return True
    return False


def cause(message: str, output: str = "") -> str:
    """What apt or dnf complains of, in one line: its own errors where it names some, else the end of what it said."""
    lines = [line.strip() for line in f"{message}\n{output}".splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(E|Error|Err):|dpkg: error", line)] or lines[-2:]
    plain = dict.fromkeys(re.sub(r"^'/usr/bin/apt-get.*' failed: ", "", line).rstrip(".") for line in errors)
    return "; ".join(list(plain)[:3]) or "it gives no reason"


def remedy(reason: str) -> str:
    """What a person can do about a cause."""
    return next((text for pattern, text in _REMEDIES if re.search(pattern, reason)), "install them there by hand to see more")

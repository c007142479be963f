"""What must be true before a host is touched: pure functions over the inventory and one look at each host.

judge() is the table of contents. A check is a generator of findings; each finding is one line of preflight's report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import checks_models
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import CHECKS, CLOCK, Finding, finding
from ansible_collections.rackstart.cluster.plugins.module_utils.k3s import config_problems

Look = dict[str, Any]

SUPPORTED = {"debian": {"12", "13"}}
SERVER_PORTS, AGENT_PORTS = (6443, 2379, 2380, 10250), (10250,)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def judge(look: Look) -> list[Finding]:
    """Every finding, red and green.

    look: hosts {name: {probe or None, reason, address, groups, gpu_count, gpu_memory_mib, labels, taints}}, models, sizes
    {model: {store, weights in bytes} or {error}}, storage_path, networks [CIDR], arguments (the engine's flags), unlocked [text],
    lock_command, mirror {url, error}, min_free_mib {path: MiB}, k3s_config {server, agent: extra keys}, waivers {id: reason}.
    """
    checks = (
        _reachable, _identity, _networks, _system, _ports, _gpus, _groups, _k3s_config, _store_disk, _artifacts, _waivers,
        checks_models.check,
    )  # fmt: skip
    found = [finding for check in checks for finding in check(look)]
    for entry in found:
        entry["waived"] = look["waivers"].get(entry["id"], "") if not entry["ok"] else ""
    return found


def refused(findings: list[Finding]) -> list[Finding]:
    """Those that stop a run."""
    return [entry for entry in findings if not entry["ok"] and entry["severity"] == "required" and not entry["waived"]]


def probed(look: Look) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, host in look["hosts"].items():
        if host["probe"]:
            yield name, host, host["probe"]


def members(look: Look, group: str) -> list[str]:
    return [name for name, host in look["hosts"].items() if group in host["groups"]]


def _reachable(look: Look) -> Iterator[Finding]:
    for name, host in look["hosts"].items():
        remedy = f"try `ssh {host['address']}` as the inventory's ansible_user, and `sudo -v` there; or put {name} into out_of_service"
        seen = host["reason"] or "answers, and sudo works"
        yield finding("host.reachable", name, bool(host["probe"]), seen, remedy)


def _shared(values: dict[str, str], name: str) -> list[str]:
    """The other hosts that have this host's value."""
    return [other for other, value in values.items() if other != name and value == values[name]]


def _identity(look: Look) -> Iterator[Finding]:
    ids = {name: probe["machine_id"] for name, _, probe in probed(look)}
    for name, value in ids.items():
        twins = _shared(ids, name)
        remedy = "on a cloned host: rm /etc/machine-id && systemd-machine-id-setup, then reboot"
        seen = f"{value or 'empty'}{', as on ' + ', '.join(twins) if twins else ''}"
        yield finding("host.machine_id", name, value and not twins, seen, remedy)
    addresses = {name: host["address"] for name, host in look["hosts"].items()}
    for name, address in addresses.items():
        same = _shared(addresses, name)
        seen = f"{address}{', as ' + ', '.join(same) if same else ''}"
        yield finding("host.address", name, not same, seen, "mend ansible_host in hosts.yml")
        yield finding("host.name", name, LABEL.match(name), name, "rename the host in hosts.yml")
    names = {name: probe["hostname"] for name, _, probe in probed(look)}
    for name, value in names.items():
        doubled = _shared(names, name) and value not in ("localhost", "debian")
        remedy = "give each host a name of its own (hostnamectl hostname NAME), or check that two entries are not one machine"
        yield finding("host.hostname", name, not doubled, value, remedy)


def _groups(look: Look) -> Iterator[Finding]:
    storage, servers = members(look, "storage"), members(look, "k3s_server")
    agents, gpus = members(look, "k3s_agent"), members(look, "gpu")
    yield finding(
        "groups.storage",
        "inventory",
        len(storage) == 1,
        len(storage),
        "name the one host that writes the store",
    )
    odd = len(servers) % 2 == 1
    remedy = "etcd needs a majority: use 1, 3 or 5 servers; an even number fails no later than one fewer"
    yield finding("groups.servers", "inventory", odd, len(servers), remedy)
    for name in gpus:
        node = name in servers or name in agents
        yield finding("groups.gpu", name, node, "a node" if node else "no node", f"add {name} to k3s_agent")
    both = sorted(set(servers) & set(agents))
    yield finding(
        "groups.roles",
        "inventory",
        not both,
        ", ".join(both) or "none",
        "a server runs pods too: take it out of k3s_agent",
    )
    nodes = [name for name in look["hosts"] if name in servers or name in agents]
    free = [name for name in nodes if not look["hosts"][name]["taints"]]
    remedy = "set gpu_taint: false, or add a node without GPUs: CoreDNS and the operator need a place"
    yield finding("groups.schedulable", "inventory", bool(free), ", ".join(free) or "none", remedy)


def _k3s_config(look: Look) -> Iterator[Finding]:
    for mode, config in look["k3s_config"].items():
        problems = config_problems(config, mode)
        remedy = "mend it in group_vars/all/cluster.yml"
        yield finding("k3s.config", f"k3s_{mode}_config", not problems, "; ".join(problems) or ", ".join(config) or "none", remedy)


def _networks(look: Look) -> Iterator[Finding]:
    pods, services = (ip_network(cidr) for cidr in look["networks"])
    overlap = pods.overlaps(services)
    remedy = "choose other ranges for cluster_cidr and cluster_service_cidr"
    yield finding("network.ranges", "inventory", not overlap, f"{pods} and {services}", remedy)
    for name, host, probe in probed(look):
        own = {host["address"], *probe.get("addresses", [])} if not probe["k3s"]["active"] else {host["address"]}
        inside = [a for a in sorted(own) if _is_ip(a) and any(ip_address(a) in net for net in (pods, services))]
        yield finding("network.overlap", name, not inside, ", ".join(inside) or "none", remedy, pods=pods, services=services)


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _system(look: Look) -> Iterator[Finding]:
    for name, _, probe in probed(look):
        system = probe["os"]
        ok = system["version_id"] in SUPPORTED.get(system["id"], ())
        seen = f"{system['id']} {system['version_id']}"
        remedy = "install Debian 12 or 13, or set preflight_waivers: {os.supported: REASON} to go on"
        yield finding("os.supported", name, ok, seen, remedy)
        yield finding("os.architecture", name, probe["arch"] == "x86_64", probe["arch"], "the artifacts are built for x86_64")
        offset = probe["time_offset"]
        yield finding(
            "os.clock",
            name,
            abs(offset) < CLOCK,
            f"{offset} s",
            "set up time synchronisation (host_time_servers)",
        )
        for path, least in look["min_free_mib"].items():
            free = probe["disks"][path]["free_mib"]
            yield finding(
                "disk.free", name, free >= least, f"{free} MiB", f"free space for {path} or give it a disk", least=least, path=path
            )
        templates = probe["k3s"]["containerd_templates"]
        remedy = "remove them: they freeze containerd's configuration, and the NVIDIA runtime is not added"
        yield finding("k3s.templates", name, not templates, ", ".join(templates) or "none", remedy)


def _ports(look: Look) -> Iterator[Finding]:
    for name, host, probe in probed(look):
        wanted = SERVER_PORTS if "k3s_server" in host["groups"] else AGENT_PORTS if "k3s_agent" in host["groups"] else ()
        taken = [
            f"{item['port']} by {item['process']}"
            for item in probe["ports_listening"]
            if item["protocol"].startswith("tcp") and item["port"] in wanted and not probe["k3s"]["active"]
        ]
        yield finding(
            "ports.free",
            name,
            not taken,
            ", ".join(taken) or "free",
            "stop what holds the port",
            ports=", ".join(map(str, wanted)),
        )


def _gpus(look: Look) -> Iterator[Finding]:
    for name, host, probe in probed(look):
        if "gpu" not in host["groups"]:
            continue
        count, declared = len(probe["pci_gpus"]), host["gpu_count"]
        remedy = f"mend gpu_count of {name} in hosts.yml, or reseat the card (lspci -d 10de:)"
        yield finding("gpu.count", name, count == declared, f"{count} on the PCI bus", remedy, count=declared)
        remedy = "nothing to do: stage driver blacklists it and reboots a host that needs it"
        yield finding(
            "gpu.nouveau",
            name,
            not probe["nouveau_loaded"],
            "loaded" if probe["nouveau_loaded"] else "not loaded",
            remedy,
        )
        for gpu in probe["nvidia_smi"]["gpus"]:
            ok = gpu["memory_mib"] >= host["gpu_memory_mib"]
            remedy = f"mend gpu_memory_mib of {name} in hosts.yml"
            yield finding("gpu.memory", f"{name}/{gpu['index']}", ok, f"{gpu['memory_mib']} MiB", remedy, least=host["gpu_memory_mib"])


def _store_disk(look: Look) -> Iterator[Finding]:
    for name, _, probe in probed(look):
        if name not in members(look, "storage"):
            continue
        published = {path for path, entry in probe["store"].items() if entry}
        missing = [m for m in look["models"] if f"{look['storage_path']}/{m['repo']}/{m['revision']}" not in published]
        need = sum(look["sizes"].get(m["name"], {}).get("store", 0) for m in missing) >> 20
        free = probe["disks"][look["storage_path"]]["free_mib"]
        remedy = f"free space under {look['storage_path']}, or give it a larger disk"
        yield finding("store.space", name, free >= need + 256, f"{free} MiB free", remedy, need=need)


def _artifacts(look: Look) -> Iterator[Finding]:
    unlocked = look["unlocked"]
    yield finding("artifacts.locked", "inventory", not unlocked, "; ".join(unlocked) or "all", f"run {look['lock_command']}")
    mirror = look["mirror"]
    if mirror["url"]:
        seen = mirror["error"] or "answers"
        yield finding("artifacts.mirror", mirror["url"], not mirror["error"], seen, "start the mirror, or mend artifact_mirror")


def _waivers(look: Look) -> Iterator[Finding]:
    unknown = sorted(look["waivers"].keys() - CHECKS.keys())
    remedy = "docs/preflight.md lists the ids; take the others out of preflight_waivers"
    yield finding("waivers.known", "inventory", not unknown, ", ".join(unknown) or "all are", remedy)

"""Preflight's checks of what k3s is told, and of what is on the hosts in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_os import NODES
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CGROUP_1_ENDS
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, probed, told
from ansible_collections.rackstart.cluster.plugins.module_utils.k3s import config_problems

# Of the kubelet, kube-proxy and k3s' own proxy on every node; of the API, etcd, scheduler and controllers on servers.
AGENT_PORTS = (6444, 10248, 10249, 10250, 10256)
SERVER_PORTS = (2379, 2380, 6443, *AGENT_PORTS, 10257, 10258, 10259)
CONTROLLERS = {"cpu", "cpuset", "memory", "pids"}


def check(look: Look) -> Iterator[Finding]:
    for mode, config in look["k3s_config"].items():
        problems = config_problems(config, mode)
        yield finding("k3s.config", f"k3s_{mode}_config", not problems, "; ".join(problems) or told(config))
    for name, host, probe in probed(look, *NODES):
        yield from _part(name, host, probe)
        yield from _left_behind(name, probe, look)
        yield from _version(name, probe, look)
        yield from _cgroups(name, probe, look)
        yield from _ports(name, host, probe)
    yield from _one_cluster(look)


def version(text: str) -> tuple[int, int, int]:
    """(1, 34, 4) of v1.34.4+k3s1; what is no version is (0, 0, 0)."""
    parts = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text or "")
    return (int(parts[1]), int(parts[2]), int(parts[3])) if parts else (0, 0, 0)


def _part(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    """A server that runs an agent's k3s, or the other way round. Of a playbook run by itself refuse_other() in k3s.py says so."""
    wanted = "k3s.service" if "k3s_server" in host["groups"] else "k3s-agent.service"
    others = [unit for unit in probe["k3s"]["used"] if unit != wanted]
    yield finding("k3s.part", name, not others, told(others), unit=wanted)


def _left_behind(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    templates = probe["k3s"]["containerd_templates"]
    yield finding("k3s.templates", name, not templates, told(templates))
    if "gpu" in look["hosts"][name]["groups"]:
        toolkit = probe["k3s"]["toolkit"]
        yield finding("k3s.toolkit", name, not toolkit, told(toolkit), name=name)
    url = probe["k3s"]["server_url"]
    yield finding("k3s.server_url", name, not url or urlsplit(url).hostname in look["addresses"], url or "none", name=name)
    running = [unit for unit in ("docker", "containerd") if probe["units"].get(unit) == "active"]
    yield finding("k3s.runtimes", name, not running if probe["units"] else None, told(running) if probe["units"] else "systemd did not say")
    yield finding("k3s.others", name, not probe["k3s"]["others"], told(probe["k3s"]["others"]))


def _version(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    present, wanted = probe["k3s"]["version"], look["k3s_version"]
    have, want = version(present), version(wanted)
    fits = not present or (have <= want and (have[0], have[1] + 1) >= want[:2])
    yield finding("k3s.upgrade", name, fits, present or "no k3s yet", version=wanted, present=present or wanted)


def _cgroups(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    mounted, ends = probe["cgroup_version"], version(look["k3s_version"])[:2] >= CGROUP_1_ENDS
    seen = "no cgroups were seen" if mounted is None else f"cgroup v{mounted}{'' if ends else ', which ' + look['k3s_version'] + ' takes'}"
    yield finding("k3s.cgroup", name, None if mounted is None else mounted == 2 or not ends, seen)
    have = set(probe["cgroup_controllers"])
    yield finding("k3s.cgroup_controllers", name, have >= CONTROLLERS if have else None, told(sorted(have)))


def _ports(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    wanted = SERVER_PORTS if "k3s_server" in host["groups"] else AGENT_PORTS
    taken = [
        f"{item['port']} by {item['process']}"
        for item in probe["ports_listening"]
        if item["protocol"].startswith("tcp") and item["port"] in wanted and not (probe["k3s"]["active"] or _own(item, probe))
    ]
    yield finding("ports.free", name, not taken, told(taken, "free"), ports=told(wanted))


def _own(item: dict[str, Any], probe: dict[str, Any]) -> bool:
    """Whether the k3s that is here holds the port: a server that waits for its peers does not count as active yet."""
    return bool(item.get("unit")) and item["unit"] == probe["k3s"]["unit"]


def _one_cluster(look: Look) -> Iterator[Finding]:
    """Servers that have data must have it of one cluster; the authority's digest tells clusters apart."""
    authorities = {name: probe["k3s"]["ca_sha256"] for name, _, probe in probed(look, "k3s_server") if probe["k3s"]["ca_sha256"]}
    for name, digest in authorities.items():
        seen = f"{digest[:12]}, of {len(set(authorities.values()))} on all servers"
        yield finding("k3s.one_cluster", name, len(set(authorities.values())) == 1, seen)

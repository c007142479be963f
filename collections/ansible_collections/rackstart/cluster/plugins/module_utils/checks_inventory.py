"""Preflight's checks of the hosts as the inventory has them, and of the artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.rackstart.cluster.plugins.module_utils import ranges
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, members, probed, told

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
INSTALLERS = ("localhost", "debian")  # names that hosts have before stage host gives them theirs
NODE_PORTS = "30000-32767"  # where k3s is not told another range
PLACES = (("storage", "path"), ("storage", "server"), ("storage", "export"), ("gateway", "address"))
BLANK = re.compile(r"[0f-]*$")  # a UUID that the maker left out


def check(look: Look) -> Iterator[Finding]:
    yield from _reachable(look)
    yield from _identity(look)
    yield from _groups(look)
    yield from _gateway(look)
    yield from _artifacts(look)
    for row in look["numbers"]:
        ok = ranges.inside(row["value"], row["low"], row["high"])
        host, name = row["host"], row["name"]
        at, told_as = (f"{host}/{name}", f"{name} of {host}") if host else (name, name)
        yield finding("settings.numbers", at, ok, row["value"], name=told_as, low=row["low"], high=row["high"])
    for part, key in PLACES:
        name, value = f"{part}_{key}", look[part][key]
        yield finding("settings.places", name, bool(value), value or "empty", name=name, part=part)
    logins = look["proxy_logins"]
    yield finding("settings.proxy", "inventory", not logins, f"one in {told(logins)}" if logins else "none")
    problem = look["registry_auth_problem"]
    yield finding("settings.registry_auth", "inventory", not problem, problem or "in form")


def _reachable(look: Look) -> Iterator[Finding]:
    for name, host in look["hosts"].items():
        left_out = not host["probe"] and not host["reason"]
        seen = host["reason"] or ("not looked at: --limit leaves it out" if left_out else "answers, and sudo works")
        yield finding("host.reachable", name, None if left_out else bool(host["probe"]), seen, name=name, address=host["address"])


def _twins(values: dict[str, str], name: str) -> list[str]:
    """The other hosts that have this host's value."""
    return [other for other, value in values.items() if other != name and value == values[name]]


def _as_on(value: str, twins: list[str]) -> str:
    return f"{value}{', as on ' + told(twins) if twins else ''}"


def _identity(look: Look) -> Iterator[Finding]:
    probes = {name: probe for name, _, probe in probed(look)}
    addresses = {name: host["address"] for name, host in look["hosts"].items()}
    for name, address in addresses.items():
        same = _twins(addresses, name)
        yield finding("host.address", name, not same, _as_on(address, same))
        yield finding("host.name", name, bool(LABEL.match(name)), name)
    ids = {name: probe["machine_id"] for name, probe in probes.items()}
    keys = {name: told(probe["ssh_keys"], "") for name, probe in probes.items()}
    uuids = {name: probe["product_uuid"] for name, probe in probes.items()}
    names = {name: probe["hostname"] for name, probe in probes.items()}
    for name in probes:
        twins = _twins(ids, name)
        yield finding("host.machine_id", name, ids[name] and not twins, _as_on(ids[name] or "empty", twins))
        doubled = names[name] not in INSTALLERS and _twins(names, name)
        yield finding("host.hostname", name, not doubled, names[name])
        twins = _twins(keys, name)
        yield finding("host.ssh_keys", name, not twins if keys[name] else None, _as_on(keys[name] or "no key was seen", twins))
        twins, blank = _twins(uuids, name), BLANK.match(uuids[name])
        yield finding("host.product_uuid", name, None if blank else not twins, "none was seen" if blank else _as_on(uuids[name], twins))


def _groups(look: Look) -> Iterator[Finding]:
    storage, servers = members(look, "storage"), members(look, "k3s_server")
    agents, gpus = members(look, "k3s_agent"), members(look, "gpu")
    yield finding("groups.storage", "inventory", len(storage) == 1, told(storage))
    # One that is out of service is still a member of etcd, or will be again.
    yield finding("groups.servers", "inventory", len(look["servers"]) % 2 == 1, len(look["servers"]))
    for name in gpus:
        node = name in servers or name in agents
        yield finding("groups.gpu", name, node, "a node" if node else "no node", name=name)
    both = sorted(set(servers) & set(agents))
    yield finding("groups.roles", "inventory", not both, told(both))
    free = [name for name, host in look["hosts"].items() if name in {*servers, *agents} and not host["taints"]]
    yield finding("groups.schedulable", "inventory", bool(free), told(free))


def _gateway(look: Look) -> Iterator[Finding]:
    asked, problem = look["gateway"], look["certificate"]
    ports = str(look["k3s_config"].get("server", {}).get("service-node-port-range", NODE_PORTS))
    bounds = re.fullmatch(r"(\d+)-(\d+)", ports)
    inside = bounds is not None and int(bounds[1]) <= int(asked["node_port"]) <= int(bounds[2])
    yield finding("gateway.node_port", "inventory", inside, asked["node_port"], ports=ports)
    of_a_host = asked["service_type"] == "LoadBalancer" and asked["address"] in look["addresses"]
    yield finding("gateway.address", "inventory", not of_a_host, asked["address"])
    named = "the user's" if asked["certificate"] else "one of Rackstart's own authority"
    yield finding("gateway.certificate", asked["address"], not problem, problem or named)


def _artifacts(look: Look) -> Iterator[Finding]:
    unlocked, mirror = look["unlocked"], look["mirror"]
    yield finding("artifacts.locked", "inventory", not unlocked, "; ".join(unlocked) or "all", command=look["lock_command"])
    if mirror["url"]:
        yield finding("artifacts.mirror", mirror["url"], not mirror["error"], mirror["error"] or "answers")
    for address, problem in look["artifacts"].items():
        yield finding("artifacts.reachable", address, not problem, problem or "there")

"""Preflight's checks of each host's network and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_os import NODES
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import OVERLAY, SMALLEST_MTU
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, probed, told

Networks = list[IPv4Network | IPv6Network]
CLUSTERS_OWN = ("cni", "flannel", "kube-")  # interfaces that k3s makes


def check(look: Look) -> Iterator[Finding]:
    try:
        networks = [ip_network(cidr) for cidr in look["networks"]]
    except ValueError as problem:
        yield finding("network.ranges", "inventory", False, problem)
    else:
        yield from _ranges(look, networks)
    for name, host, probe in probed(look):
        yield from _names(name, probe, look)
        yield from _gates(name, probe, look)
        if set(host["groups"]) & set(NODES):
            yield from _place(name, host, probe)
    yield from _mtu(look)
    for name, _, _ in probed(look, "k3s_server"):
        problem = look["doors"].get(name)
        yield finding("network.controller", name, None if problem is None else not problem, problem or "it answers")


def is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _addresses(probe: dict[str, Any]) -> list[str]:
    return [address for interface in probe["interfaces"] for address in interface["addresses"]]


def _ranges(look: Look, networks: Networks) -> Iterator[Finding]:
    pods, services = networks
    yield finding("network.ranges", "inventory", not pods.overlaps(services), f"{pods} and {services}")
    for name, host, probe in probed(look):
        own = {host["address"], *_addresses(probe)} if not probe["k3s"]["active"] else {host["address"]}
        inside = [a for a in sorted(own) if is_ip(a) and any(ip_address(a) in net for net in networks)]
        yield finding("network.overlap", name, not inside, told(inside), pods=pods, services=services)
        if set(host["groups"]) & set(NODES):
            yield _routes(name, probe, networks)


def _routes(name: str, probe: dict[str, Any], networks: Networks) -> Finding:
    """Once k3s runs, routes into its networks are its own: only wider ones count then."""
    clashing = []
    for route in probe["routes"]:
        to = ip_network(route["to"])
        if to.prefixlen == 0 or route["device"].startswith(CLUSTERS_OWN):
            continue
        if any(to.overlaps(net) and not (probe["k3s"]["active"] and to.prefixlen >= net.prefixlen) for net in networks):
            clashing.append(f"{to} by {route['device']}")
    known, (pods, services) = bool(probe["routes"]), networks
    seen = told(clashing) if known else "no routes were seen"
    return finding("network.routes", name, not clashing if known else None, seen, pods=pods, services=services)


def _place(name: str, host: dict[str, Any], probe: dict[str, Any]) -> Iterator[Finding]:
    """Where the node is, for k3s and for the others."""
    default = [route["device"] for route in probe["routes"] if route["to"] in ("0.0.0.0/0", "::/0")]
    yield finding("network.default_route", name, bool(default), f"by {told(default)}" if default else "none")
    own, address = _addresses(probe), host["address"]
    has = is_ip(address) and ip_address(address) in map(ip_address, own)
    yield finding("network.node_ip", name, has if own else None, f"{address}; the host has {told(own)}")


def _mtu(look: Look) -> Iterator[Finding]:
    """Of the interface that has the node's address."""
    mtus = {
        name: next((link["mtu"] for link in probe["interfaces"] if host["address"] in link["addresses"]), None)
        for name, host, probe in probed(look, *NODES)
    }
    known = Counter(mtu for mtu in mtus.values() if mtu)
    common = known.most_common(1)[0][0] if known else "one"
    for name, mtu in mtus.items():
        seen = f"{mtu}" if mtu else "no interface has the address"
        yield finding("network.mtu", name, mtu == common if mtu else None, seen, common=common)
        yield finding("network.mtu_size", name, mtu >= SMALLEST_MTU + OVERLAY if mtu else None, seen)


def _names(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    servers, upstream = probe["resolver"]["servers"], probe["resolver"]["upstream"]
    silent = [f"{server}: {problem}" for server, problem in servers.items() if problem]
    seen = told(silent) if silent else told(servers, "no name server in /etc/resolv.conf")
    yield finding("dns.resolver", name, len(silent) < len(servers), seen, servers=told(servers, "one"))
    real = [server for server in [*servers, *upstream] if is_ip(server) and not ip_address(server).is_loopback]
    yield finding("dns.upstream", name, bool(real), told([*servers, *upstream]))
    problem = probe["resolver"]["own_name"]
    yield finding("dns.own_name", name, not problem, f"{probe['hostname']}: {problem or 'resolves'}")
    unresolved = [f"{asked}: {problem}" for asked, problem in probe["resolver"]["names"].items() if problem]
    yield finding("dns.names", name, not unresolved, told(unresolved or probe["resolver"]["names"], "none to resolve"))


def _gates(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    """What stands between the host and the others."""
    url = look["mirror"]["url"]
    if url:
        answer = probe["urls"].get(url, "was not asked")
        yield finding("network.mirror", name, answer.isdigit(), answer, name=name, url=url)
    walls = [*probe["firewalls"], *(["firewalld"] if probe["units"].get("firewalld") == "active" else [])]
    known = bool(walls or probe["units"])
    yield finding("network.firewall", name, not walls if known else None, told(walls) if known else "systemd did not say")
    proxies = probe["proxies"]
    yield finding("network.proxy", name, look["proxy"] or not proxies, told(proxies))

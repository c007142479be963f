"""Reads a host's network: interfaces, routes, listening ports, names, and what answers from there."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.probe import ROOT, run, text

PATIENCE = 3.0  # seconds to wait for one answer


def network(names: list[str], root: Path = ROOT) -> dict[str, Any]:
    """All of it; names: what to resolve beside the host's own."""
    return {"interfaces": interfaces(root), "routes": routes(root), "resolver": resolver(names, root), "ports_listening": listeners(root)}


def interfaces(root: Path = ROOT) -> list[dict[str, Any]]:
    """Interfaces but for loopback: name, mtu in bytes, speed in Mbit/s (None where there is none), addresses."""
    _code, output, _error = run("ip", "-json", "address", "show")
    return [
        {
            "name": link["ifname"],
            "mtu": link.get("mtu"),
            "speed": _speed(root, link["ifname"]),
            "addresses": [entry["local"] for entry in link.get("addr_info", []) if "local" in entry],
        }
        for link in (json.loads(output) if output else [])
        if link.get("ifname", "lo") != "lo"
    ]


def _speed(root: Path, name: str) -> int | None:
    speed = text(root / "sys/class/net" / name / "speed")
    return int(speed) if speed.isdigit() else None


def routes(root: Path = ROOT) -> list[dict[str, str]]:
    """Destinations (CIDR) of the IPv4 routes and of IPv6's default one, with their interface."""
    found = []
    for line in text(root / "proc/net/route").splitlines()[1:]:
        row = line.split()
        destination, mask = (socket.inet_ntoa(struct.pack("<L", int(value, 16))) for value in (row[1], row[7]))
        found.append({"to": str(ip_network(f"{destination}/{mask}")), "device": row[0]})
    for line in text(root / "proc/net/ipv6_route").splitlines():
        row = line.split()
        if row[0] == "0" * 32 and row[1] == "00" and row[-1] != "lo":
            found.append({"to": "::/0", "device": row[-1]})
    return found


def resolver(names: list[str], root: Path = ROOT) -> dict[str, Any]:
    """Name servers with what each answers ("" when it does), those behind a local stub, and why each name does not resolve, or ""."""
    servers, upstream = (_servers(root / path) for path in ("etc/resolv.conf", "run/systemd/resolve/resolv.conf"))
    own = socket.gethostname()
    wanted = {own, *names}
    return {
        "servers": together(_ask, servers),
        "upstream": upstream,
        "own_name": (resolved := together(_resolve, wanted))[own],
        "names": {name: resolved[name] for name in names},
    }


def _servers(path: Path) -> list[str]:
    return re.findall(r"^nameserver\s+(\S+)", text(path), re.M)


def together(question: Callable[[str], str], items: Iterable[str], patience: float = PATIENCE) -> dict[str, str]:
    """The answer to each item, all asked at once; one that does not come within `patience` seconds is given up."""
    found = dict.fromkeys(items, f"no answer within {patience:.0f} s")

    def ask(item: str) -> None:
        found[item] = question(item)

    # Daemons: a resolver that hangs must not keep the module from ending.
    threads = [threading.Thread(target=ask, args=(item,), daemon=True) for item in list(found)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(found)


def _ask(server: str) -> str:
    """Ask a name server for the root's name servers; any answer will do."""
    query = struct.pack(">6H", 0x5253, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">2H", 2, 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(PATIENCE)
            asking.connect((server.partition("%")[0], 53))
            asking.send(query)
            return "" if asking.recv(4096)[:2] == query[:2] else "an answer to another question"
    except OSError as error:
        return str(error)


def _resolve(name: str) -> str:
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        return str(error)
    return ""


def connects(places: list[str]) -> dict[str, str]:
    """Why each HOST:PORT takes no TCP connection from here, or ""."""

    def connect(place: str) -> str:
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), PATIENCE).close()
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    return together(connect, places, 2 * PATIENCE)


def listeners(root: Path = ROOT) -> list[dict[str, Any]]:
    """Ports something listens on, with the process and the systemd unit that hold them where they can be seen."""
    sockets: dict[str, tuple[str, int]] = {}
    for table, protocol, state in (("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")):
        for line in text(root / f"proc/net/{table}").splitlines()[1:]:
            row = line.split()
            if row[3] == state:
                sockets[row[9]] = (protocol, int(row[1].rpartition(":")[2], 16))
    holders = _holders(root, set(sockets))
    found = {(*key, *holders.get(inode, ("", ""))) for inode, key in sockets.items()}
    return [{"protocol": item[0], "port": item[1], "process": item[2], "unit": item[3]} for item in sorted(found)]


def _holders(root: Path, inodes: set[str]) -> dict[str, tuple[str, str]]:
    found = {}
    for process in (root / "proc").glob("[0-9]*"):
        try:
            links = [os.readlink(handle) for handle in (process / "fd").iterdir()]
        except OSError:  # it ended, or belongs to another user
            continue
        mine = inodes.intersection(link[8:-1] for link in links if link.startswith("socket:["))
        if mine:
            units = re.findall(r"/([^/\n]+\.service)", text(process / "cgroup"))
            found.update(dict.fromkeys(mine, (text(process / "comm"), units[0] if units else "")))
    return found


def answers(urls: list[str], timeout: float = 5) -> dict[str, str]:
    """What each URL answers from this host within `timeout` seconds: a status, or why there is none. Any status means reachable."""

    trusting = ssl.create_default_context()  # a private authority comes onto the host in a later stage; nothing secret is sent
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def ask(url: str) -> str:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout, context=trusting) as response:
                return str(response.status)
        except urllib.error.HTTPError as error:
            return str(error.code)
        except (OSError, ValueError) as error:
            return str(getattr(error, "reason", error))

    return together(ask, urls, 2 * timeout)

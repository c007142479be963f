"""Preflight's checks of each host's disks, and of the store and its export."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_models import complete, pool
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_network import is_ip
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_os import NODES
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import INODES
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, probed, told

RANCHER = "/var/lib/rancher"
NO_OVERLAY = ("nfs", "nfs4", "cifs", "overlay", "vfat", "fuse.sshfs")  # what overlayfs cannot have as its upper layer
EXPORTED = ("ext4", "xfs")
NFS_PORT = 2049
SERVERS = ("kernel", "ganesha")  # backends that serve from the storage host


def check(look: Look) -> Iterator[Finding]:
    for name, host, probe in probed(look):
        yield from _room(name, host, probe, look)
    for name, host, probe in probed(look, *NODES):
        yield from _node(name, host, probe, look)
    for name, _, probe in probed(look, "storage"):
        yield from _store(name, probe, look)
        yield from _exports(name, probe, look)


def _room(name: str, host: dict[str, Any], probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    # Once k3s is there, what the images take is taken.
    images = look["gpu_min_free_mib"] if "gpu" in host["groups"] and not probe["k3s"]["version"] else {}
    for path in look["min_free_mib"] | images:
        least = max(needs.get(path, 0) for needs in (look["min_free_mib"], images))
        disk = probe["disks"][path]
        yield finding("disk.free", name, disk["free_mib"] >= least, f"{disk['free_mib']} MiB", least=least, path=path)
        counted = disk["inodes"] > 0  # btrfs has no fixed number
        seen = f"{disk['inodes_free']} free" if counted else f"{disk['fstype']} does not count them"
        yield finding("disk.inodes", name, disk["inodes_free"] >= INODES if counted else None, seen, path=path)


def _node(name: str, host: dict[str, Any], probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    disk, storage = probe["disks"][RANCHER], look["storage"]
    yield finding("disk.filesystem", name, disk["fstype"] not in NO_OVERLAY, disk["fstype"])
    wrong = sorted({"ro", "noexec"} & set(disk["options"]))
    yield finding("disk.options", name, not wrong, told(wrong or disk["options"]))
    if "k3s_server" in host["groups"]:
        words = {None: "its kind was not seen", True: "a spinning disk", False: "no spinning disk"}
        ok = None if disk["rotational"] is None else not disk["rotational"]
        yield finding("disk.etcd", name, ok, words[disk["rotational"]])
    source = _source(storage)
    writable = [mount["target"] for mount in probe["mounts"] if mount["source"].startswith(source) and "ro" not in mount["options"]]
    if "storage" not in host["groups"]:
        yield finding("nfs.mounts", name, not writable, f"read-write at {told(writable)}" if writable else "none that may write")
    if storage["backend"] == "external":
        place = f"{storage['server']}:{NFS_PORT}"
        answer = probe["connects"].get(place, "was not asked")
        yield finding("nfs.server", name, not answer, answer or "answers", name=name, server=storage["server"])
    elif "gpu" in host["groups"] or any(name in pool(model, look) for model in complete(look["models"])):
        yield from _admitted(name, host["address"], storage["clients"])


def _admitted(name: str, address: str, clients: list[str]) -> Iterator[Finding]:
    networks, others = [], []
    for client in clients:
        try:
            networks.append(ip_network(client, strict=False))
        except ValueError:
            others.append(client)
    inside = address in clients or "*" in clients or (is_ip(address) and any(ip_address(address) in net for net in networks))
    ok = True if inside else None if others else False  # names and netgroups are the server's to resolve
    yield finding("nfs.clients", name, ok, f"{address} in {told(clients)}" if inside else told(clients), address=address)


def _store(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    storage = look["storage"]
    path, disk = storage["path"], probe["disks"][storage["path"]]
    published = {revision for revision, entry in probe["store"].items() if entry}
    missing = [m["name"] for m in complete(look["models"]) if f"{path}/{m['repo']}/{m['revision']}" not in published]
    sizes = {model: look["sizes"].get(model, {}) for model in missing}
    untold = [model for model, size in sizes.items() if "store" not in size]
    need = sum(size.get("store", 0) for size in sizes.values()) >> 20
    local = storage["backend"] != "external"
    if local or _mounted(probe, storage):
        fits = disk["free_mib"] >= need + 256
        seen = f"{disk['free_mib']} MiB free{'; no size of ' + told(untold) if untold else ''}"
        yield finding("store.space", name, None if untold and fits else fits, seen, need=need, path=path)
    else:
        seen = f"{_source(storage)} is not mounted there yet; stage storage mounts it"
        yield finding("store.space", name, None, seen, need=need, path=path)
    yield finding("store.one_filesystem", name, not disk["inside"], told(disk["inside"]), path=path)
    ok = disk["fstype"] in EXPORTED or not local
    yield finding("store.filesystem", name, ok, disk["fstype"] or "unknown", expected="ext4 or xfs" if local else "the filer's own")


def _source(storage: dict[str, Any]) -> str:
    """What the kernel calls the mount of the declared export."""
    return f"{storage['server']}:{storage['export'].rstrip('/')}"


def _mounted(probe: dict[str, Any], storage: dict[str, Any]) -> bool:
    """Whether the declared export is what was mounted last at the store's directory."""
    sources = [mount["source"].rstrip("/") for mount in probe["mounts"] if mount["target"] == storage["path"].rstrip("/")]
    return sources[-1:] == [_source(storage)]


def _exports(name: str, probe: dict[str, Any], look: Look) -> Iterator[Finding]:
    storage = look["storage"]
    ours = [entry for entry in probe["exports"] if f"{storage['path']}/".startswith(entry["path"].rstrip("/") + "/")]
    for id, right in (("nfs.read_only", "read_only"), ("nfs.root_squash", "root_squash")):
        files = sorted({entry["file"] for entry in ours if not entry[right]})
        unseen = "the filer's own, which is not seen from here" if storage["backend"] == "external" else "no export yet"
        seen = f"not so in {told(files)}" if files else f"{len(ours)} exports, all so" if ours else unseen
        yield finding(id, name, not files if ours else None, seen, files=told(files))
    holders = [item for item in probe["ports_listening"] if item["port"] == NFS_PORT and item["protocol"] == "tcp"]
    if storage["backend"] in SERVERS:
        strange = sorted({item["process"] for item in holders if not _is(storage["backend"], item)})
        seen = f"held by {told(strange)}" if strange else "held by the server" if holders else "free"
        yield finding("ports.nfs", name, not strange, seen, holder=told(strange))


def _is(backend: str, holder: dict[str, Any]) -> bool:
    """Whether the NFS server of a backend holds the port; the kernel's own is no process."""
    return not holder["process"] or (backend == "ganesha" and "ganesha" in f"{holder['process']} {holder['unit']}")

"""k3s: the keys its config.yaml knows, and how a host gets into the one cluster of its inventory."""

from __future__ import annotations

import difflib
import typing as t

import yaml

# Lists of the flag tables of k3s v1.32 to v1.34; "*" takes a list. k3s itself passes over an unknown key with a warning only.
_NODE = """
config data-dir debug v vmodule log alsologtostderr token token-file server node-name with-node-id node-label* node-taint* node-ip*
node-external-ip* node-internal-dns* node-external-dns* resolv-conf flannel-iface flannel-conf flannel-cni-conf kubelet-arg*
kube-proxy-arg* protect-kernel-defaults selinux
lb-server-port pause-image snapshotter private-registry system-default-registry disable-default-registry-endpoint default-runtime
container-runtime-endpoint image-service-endpoint image-credential-provider-bin-dir image-credential-provider-config prefer-bundled-bin
rootless vpn-auth vpn-auth-file docker nonroot-devices
"""
_SERVER = """
bind-address https-listen-port advertise-address advertise-port tls-san* tls-san-security cluster-cidr service-cidr
service-node-port-range cluster-dns* cluster-domain flannel-backend flannel-ipv6-masq flannel-external-ip egress-selector-mode
servicelb-namespace write-kubeconfig write-kubeconfig-mode write-kubeconfig-group helm-job-image agent-token agent-token-file
cluster-init cluster-reset cluster-reset-restore-path kube-apiserver-arg* etcd-arg* kube-controller-manager-arg* kube-scheduler-arg*
kube-cloud-controller-manager-arg* datastore-endpoint datastore-cafile datastore-certfile datastore-keyfile kine-tls etcd-expose-metrics
etcd-disable-snapshots etcd-snapshot-name etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-snapshot-dir etcd-snapshot-compress
etcd-snapshot-reconcile-interval etcd-s3-bucket-lookup-type etcd-s3-proxy etcd-s3-retention etcd-s3-session-token
etcd-s3 etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-skip-ssl-verify etcd-s3-access-key etcd-s3-secret-key etcd-s3-bucket
etcd-s3-region etcd-s3-folder etcd-s3-insecure etcd-s3-timeout etcd-s3-config-secret default-local-storage-path disable*
disable-scheduler disable-cloud-controller disable-kube-proxy disable-network-policy disable-helm-controller embedded-registry
secrets-encryption secrets-encryption-provider supervisor-metrics enable-pprof
"""
KEYS = {"agent": frozenset(_NODE.replace("*", "").split()), "server": frozenset((_NODE + _SERVER).replace("*", "").split())}
LISTS = frozenset(key.rstrip("*") for key in (_NODE + _SERVER).split() if key.endswith("*"))

# Keys that the roles decide; a second opinion in the user's extra keys could found a second cluster or rename a node.
OWNED: dict[str, str] = {
    "agent-token": "k3s_server_agent_token",
    "agent-token-file": "k3s_server_agent_token",
    "cluster-domain": "the role itself",
    "cluster-init": "the group k3s_server",
    "cluster-reset": "a restore by hand",
    "cluster-reset-restore-path": "a restore by hand",
    "config": "the role itself",
    "data-dir": "the role itself",
    "node-ip": "ansible_host",
    "node-label": "node_labels_extra of the host",
    "node-name": "the host's name in the inventory",
    "node-taint": "gpu_taint",
    "server": "the group k3s_server",
    "token": "k3s_server_token",
    "token-file": "k3s_server_token",
    "with-node-id": "the host's name in the inventory",
}


class JoinError(Exception):
    """A host that must not start k3s now; the message says why and what to do."""


class Server(t.TypedDict):
    """A server of the inventory as seen over ssh; datadir: it holds etcd's data, ready: its API answers /readyz."""

    name: str
    address: str
    reachable: bool
    datadir: bool
    ready: bool


def config_problems(config: dict[str, t.Any], mode: str) -> list[str]:
    """What is wrong with a user's extra config.yaml keys for a server or an agent; empty when k3s will take them all."""
    found = []
    for key, value in config.items():
        name = key.removesuffix("+")
        if name in OWNED:
            found.append(f"{key} is set by {OWNED[name]}; leave it out")
        elif name not in KEYS[mode]:
            close = difflib.get_close_matches(name, KEYS[mode], n=1)
            found.append(f"k3s {mode} has no key {key}" + (f"; did you mean {close[0]}?" if close else ""))
        elif name in LISTS and not isinstance(value, list):
            found.append(f"{key} takes a list, not {value!r}")
        elif name not in LISTS and isinstance(value, (list, dict)):
            found.append(f"{key} takes one value, not {value!r}")
    return found


def _read(text: str) -> dict[str, t.Any]:
    """The current config.yaml; what cannot be read counts as empty, since it is about to be written anew."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def _url(server: Server) -> str:
    return f"https://{server['address']}:6443"


def refuse_other(name: str, mode: str, other: str) -> None:
    """Raises JoinError for a host on which k3s is what the inventory no longer says, since its Node, pods and etcd's member would be lost.

    other: unit of the other kind that runs there or is enabled, or nothing.
    """
    if other:
        raise JoinError(
            f"{name} is to be a k3s {mode}, but {other} runs there or is enabled. Put it back into its old group, or let it go first "
            "(docs/operations.md, A host's part in the cluster changes), and run again."
        )


def join(mode: str, name: str, datadir: bool, current: str, servers: list[Server], dry: bool = False) -> dict[str, t.Any]:
    """How this host gets into the cluster.

    Returns {"config": {"cluster-init": True} or {"server": URL}, "via": name of a ready server to read the token from, or ""}.
    A host that is in keeps what brought it in. A cluster is founded only when every server was asked and none has one.
    dry: a dry run, in which servers that are yet to be set up count as if they were.
    Raises JoinError.
    """
    others = [server for server in servers if server["name"] != name]
    via = next((server for server in others if server["ready"]), None)
    name_via = via["name"] if via else ""
    config = _read(current)
    if datadir:
        if mode == "server" and config.get("cluster-init") is True and "server" not in config:
            return {"config": {"cluster-init": True}, "via": name_via}
        if config.get("server") in {_url(server) for server in others}:
            return {"config": {"server": config["server"]}, "via": name_via}
    if via:
        return {"config": {"server": _url(via)}, "via": name_via}
    if mode == "agent":
        if dry and others:
            return {"config": {"server": _url(others[0])}, "via": ""}
        asked = ", ".join(server["name"] for server in servers) or "none in the inventory"
        raise JoinError(
            f"No k3s server is ready (asked: {asked}). Run the stage control_plane first, or look at `journalctl -u k3s` there."
        )
    if datadir:  # etcd finds itself in its own data; the key only has to be one that k3s accepts
        return {"config": {"cluster-init": True}, "via": ""}
    holders = [server["name"] for server in others if server["datadir"]]
    if holders:
        raise JoinError(
            f"{', '.join(holders)} holds the cluster's data but its API is not ready, so {name} cannot join and must not found a second "
            "cluster. Look at `journalctl -u k3s` there, then run this stage again."
        )
    unknown = [server["name"] for server in others if not server["reachable"]]
    if unknown:
        raise JoinError(
            f"No cluster was found, but {', '.join(unknown)} could not be asked and may hold one. Bring it back, or take it out of the "
            "group k3s_server when it is gone for good."
        )
    if dry and servers and servers[0]["name"] != name:
        return {"config": {"server": _url(servers[0])}, "via": ""}
    return {"config": {"cluster-init": True}, "via": ""}


def registries(hosts: list[str], mirror: str, auth: dict[str, dict[str, str]]) -> dict[str, t.Any]:
    """registries.yaml: every host's images from MIRROR/v2/HOST/NAME, and credentials by HOST or HOST:PORT."""
    endpoint = f"{mirror.rstrip('/')}/v2"  # k3s adds /v2 to an endpoint without a path only
    mirrors = {host: {"endpoint": [endpoint], "rewrite": {"^(.*)$": f"{host}/$1"}} for host in hosts} if mirror else {}
    configs = {host: {"auth": {"username": user["username"], "password": user["password"]}} for host, user in auth.items()}
    return ({"mirrors": mirrors} if mirrors else {}) | ({"configs": configs} if configs else {})


def environment(proxy: dict[str, str], no_proxy: list[str]) -> dict[str, str]:
    """Environment of a process behind a proxy {http, https}; empty without one. no_proxy: what it reaches directly."""
    values = {"HTTP_PROXY": proxy.get("http"), "HTTPS_PROXY": proxy.get("https")}
    chosen = {name: value for name, value in values.items() if value}
    direct = ["127.0.0.0/8", "localhost", ".svc", ".cluster.local", *no_proxy]
    return chosen | ({"NO_PROXY": ",".join(dict.fromkeys(direct))} if chosen else {})

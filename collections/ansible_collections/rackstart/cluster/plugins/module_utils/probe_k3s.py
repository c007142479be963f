"""Reads the k3s of a host, and what else might run containers there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.probe import ROOT, run, sha256, text

OTHERS = {
    "kubeadm": "etc/kubernetes/kubelet.conf",
    "RKE2": "etc/rancher/rke2",
    "MicroK8s": "var/snap/microk8s",
    "k0s": "var/lib/k0s",
}
CA = "var/lib/rancher/k3s/server/tls/server-ca.crt"
SYSTEMD = "etc/systemd/system"
TEMPLATES = "var/lib/rancher/k3s/agent/etc/containerd"
TOOLKIT = "usr/local/nvidia/toolkit"  # where an operator installs NVIDIA's toolkit; k3s looks for runtimes there first


def k3s(root: Path = ROOT) -> dict[str, Any]:
    """The k3s that is here: unit (None where there is none), whether it runs, units in use (running or enabled), binary's SHA-256,
    version, keys of config.yaml and the server it names, SHA-256 of the cluster's authority on a server with data, templates of
    containerd, runtimes of an operator's own toolkit, other Kubernetes."""
    units = [name for name in ("k3s.service", "k3s-agent.service") if (root / SYSTEMD / name).exists()]
    running = [name for name in units if run("systemctl", "is-active", name)[0] == 0]
    used = [name for name in units if name in running or (root / SYSTEMD / "multi-user.target.wants" / name).is_symlink()]
    unit = next(iter(used or units), None)  # a host whose part in the cluster has changed keeps the file of the other
    config = text(root / "etc/rancher/k3s/config.yaml")
    binary = root / "usr/local/bin/k3s"
    version = re.search(r"v\d\S+", run(str(binary), "--version")[1]) if binary.exists() else None
    return {
        "unit": unit,
        "active": unit in running,
        "used": used,
        "binary_sha256": sha256(binary) if binary.exists() else None,
        "version": version.group(0) if version else None,
        "config_keys": re.findall(r"^([a-z0-9-]+\+?):", config, re.M),
        "server_url": "".join(re.findall(r"^server:\s*[\"']?([^\s\"']+)", config, re.M)[:1]),
        "ca_sha256": sha256(root / CA) if (root / CA).exists() and (root / "var/lib/rancher/k3s/server/db").exists() else None,
        "others": [name for name, path in OTHERS.items() if (root / path).exists()],
        "containerd_templates": sorted(f"/{path.relative_to(root)}" for path in (root / TEMPLATES).glob("*.tmpl")),
        "toolkit": sorted(f"/{path.relative_to(root)}" for path in (root / TOOLKIT).glob("nvidia-container-runtime*")),
    }

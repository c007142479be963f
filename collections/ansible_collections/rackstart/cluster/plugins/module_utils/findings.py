"""The table of preflight's checks, and one line of its report."""

from __future__ import annotations

from typing import Any, NamedTuple

Finding = dict[str, Any]

CLOCK = 30  # seconds that hosts may differ from the controller; the look itself takes some of them on a busy host


class Check(NamedTuple):
    """subject: what is looked at, in Markdown; expected: what it must be, with values of the case in braces; advice does not stop a run."""

    subject: str
    expected: str
    severity: str = "required"


CHECKS = {
    "host.reachable": Check("each host", "ssh answers and sudo gives root"),
    "host.machine_id": Check("each host's `/etc/machine-id`", "a machine-id of its own"),
    "host.address": Check("each host's `ansible_host`", "an address of its own"),
    "host.name": Check("each host's name in the inventory", "lower case letters, digits and -"),
    "host.hostname": Check("each host's own name", "a host name that no other host has"),
    "groups.storage": Check("group `storage`", "one host in group storage"),
    "groups.servers": Check("group `k3s_server`", "an odd number of hosts in group k3s_server"),
    "groups.gpu": Check("each host of group `gpu`", "a GPU host is a server or an agent"),
    "groups.roles": Check("groups `k3s_server` and `k3s_agent`", "no host is server and agent"),
    "groups.schedulable": Check("the taints of all nodes", "a node that repels no pods"),
    "k3s.config": Check("`k3s_server_config` and `k3s_agent_config`", "keys that k3s knows and Rackstart does not set"),
    "network.ranges": Check("`cluster_cidr` and `cluster_service_cidr`", "pod and service networks apart"),
    "network.overlap": Check("each host's addresses", "no address in {pods} or {services}"),
    "os.supported": Check("each host's operating system", "Debian 12 or 13"),
    "os.architecture": Check("each host's architecture", "x86_64"),
    "os.clock": Check("each host's clock", f"within {CLOCK} s of the controller"),
    "disk.free": Check("each host's disks", "{least} MiB free for {path}"),
    "k3s.templates": Check("each host's directory of containerd", "no containerd templates left behind"),
    "ports.free": Check("each node's listening ports", "{ports} free or k3s's"),
    "gpu.count": Check("each GPU host's PCI bus", "{count}, as gpu_count says"),
    "gpu.nouveau": Check("each GPU host's kernel modules", "nouveau not loaded", "advice"),
    "gpu.memory": Check("each GPU, once there is a driver", "{least} MiB at least, as gpu_memory_mib says"),
    "store.space": Check("the store's disk", "{need} MiB of weights and 256 MiB to spare"),
    "artifacts.locked": Check("`artifacts.lock.yml`", "every artifact locked"),
    "artifacts.mirror": Check("`artifact_mirror`, when set", "the mirror answers"),
    "waivers.known": Check("`preflight_waivers`", "ids of checks"),
    "model.revision": Check("each model's revision", "40 hexadecimal digits"),
    "model.name": Check("each model's name", "a DNS label, used once, not vllm or vllm-*"),
    "model.engine": Check("each model's engine", "vllm"),
    "model.golden_prompts": Check("each model's `golden_prompts`", "at least one golden prompt"),
    "model.arguments": Check("each model's `extra_args`", "arguments that the pinned vLLM accepts"),
    "model.gpus": Check("the GPUs of each model's pool, and all GPUs", "room for {replicas} replicas"),
    "model.size": Check("the hub's metadata of each model", "the hub tells the size of the files", "advice"),
    "model.memory": Check("the smallest GPU of each model's pool", "{need} MiB for weights and overhead per GPU"),
}


def finding(id: str, target: str, ok: object, seen: object, remedy: str, **values: object) -> Finding:
    """values fill in what is expected. seen may be of any kind; it is told as text."""
    check = CHECKS[id]
    expected = check.expected.format(**values)
    return {
        "id": id,
        "severity": check.severity,
        "target": target,
        "ok": bool(ok),
        "seen": str(seen),
        "expected": expected,
        "remedy": remedy,
    }

"""Proof that each GPU of a node computes: a pod on every free one at the same time, and what they say. Pure, over the API's objects."""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter

from ansible_collections.rackstart.cluster.plugins.module_utils import nodes, workloads
from ansible_collections.rackstart.cluster.plugins.module_utils.smoke_pod import LABELS, NODE_LABEL, RESOURCE

Object = dict[str, t.Any]

ANNOTATION = "rackstart.dev/gpu-smoke"
REMEDY = (
    "`lsmod | grep nvidia_uvm` and `ls -l /dev/nvidia-uvm` on {node} must show the module and its device: `nvidia-modprobe -u -c 0` brings "
    "both, after which the pod of nvidia-device-plugin-daemonset there has to be deleted, since it looks for devices when it starts. "
    "Otherwise look at `journalctl -k -g NVRM` and reboot the host. Then run the stage gpu_operator again."
)


class Driven(t.TypedDict):
    """What a host's driver says: the boot that it was loaded in, its version, and the UUIDs of its GPUs."""

    boot: str
    driver: str
    uuids: list[str]


class State(t.NamedTuple):
    """How far a node is. lacking: pods to start; pending: pods that have not said anything yet; failed: pods whose GPU does not compute;
    answers: UUIDs of GPUs that do; users: pods that hold a GPU and are ready, which proves it by use; idle: why others that hold one are
    not, and whether waiting for them is of use; wrong: how all of it does not come to the driver's GPUs."""

    lacking: int
    pending: list[Object]
    failed: list[Object]
    answers: list[str]
    users: list[str]
    idle: list[str]
    hopeless: bool
    wrong: str


def driven(probe: Object) -> Driven:
    """What a host probe says of the driver."""
    uuids = [gpu["uuid"] for gpu in probe["nvidia_smi"]["gpus"]]
    return {"boot": probe["boot_id"], "driver": probe["driver_version"] or "", "uuids": uuids}


def digest(host: Driven) -> str:
    """Names what a proof holds for: one boot, one driver, these GPUs."""
    return hashlib.sha256("\n".join([host["boot"], host["driver"], *sorted(host["uuids"])]).encode()).hexdigest()


def due(found: list[Object], hosts: dict[str, Driven]) -> list[str]:
    """Names of the nodes that have no proof, or one that holds no longer."""
    said = {node["metadata"]["name"]: (node["metadata"].get("annotations") or {}).get(ANNOTATION) for node in found}
    return [name for name, host in hosts.items() if host["uuids"] and said.get(name) != digest(host)]


def claimed(found: Object) -> int:
    """GPUs that a pod asks for: those of its containers together, or of an init container that asks for more."""
    counts = {
        part: [int(((item.get("resources") or {}).get("limits") or {}).get(RESOURCE, 0)) for item in found["spec"].get(part) or []]
        for part in ("containers", "initContainers")
    }
    return max([sum(counts["containers"]), *counts["initContainers"]])


def uuid(found: Object) -> str:
    """The GPU that a pod says it got, or nothing."""
    for status in (found.get("status") or {}).get("initContainerStatuses") or []:
        message = ((status.get("state") or {}).get("terminated") or {}).get("message") or ""
        return next((line.strip() for line in message.splitlines() if line.startswith("GPU-")), "")
    return ""


def state(node: Object, every: list[Object], host: Driven) -> State:
    """How far a node is, by all pods of the cluster."""
    name = node["metadata"]["name"]
    ours = [item for item in every if _smokes(item) and item["metadata"]["labels"].get(NODE_LABEL) == name]
    others = [item for item in every if not _smokes(item) and _on(item, name) and claimed(item)]
    taken = sum(map(claimed, others))
    failed = [item for item in ours if _phase(item) == "Failed"]
    ready = [item for item in ours if workloads.pod_ready(item)]
    answers = [uuid(item) for item in ready]
    free = max(0, nodes.allocatable(node) - taken)
    missing = max(0, free - len(answers) - len(failed))
    pending = [item for item in ours if item not in failed and item not in ready][:missing]
    unready = [item for item in others if not workloads.pod_ready(item)]
    return State(
        lacking=max(0, free - len(ours)),
        pending=pending,
        failed=failed,
        answers=answers,
        users=[_title(item) for item in others if item not in unready],
        idle=[f"{_title(item)} ({workloads.pod_problem(item)})" for item in unready],
        hopeless=bool(unready) and all(workloads.crashing(item) for item in unready),
        wrong="" if missing or failed else _sum(answers, taken, host["uuids"]),
    )


def ended(seen: State) -> bool:
    """Every pod of ours has said what its GPU does."""
    return not seen.lacking and not seen.pending


def proven(seen: State) -> bool:
    """Each of the driver's GPUs computes."""
    return ended(seen) and not (seen.failed or seen.idle or seen.wrong)


def summary(seen: State) -> Object:
    """What a node's proof rests on."""
    return {"computed": sorted(seen.answers), "in_use": sorted(seen.users)}


def reason(found: Object) -> str:
    """Why a pod failed: its GPU, and the exit code of its proof or what the kubelet says."""
    status = found.get("status") or {}
    states = [item.get("state") or {} for item in status.get("initContainerStatuses") or []]
    codes = [f"exit code {part['terminated'].get('exitCode')}" for part in states if "terminated" in part]
    said = " ".join(filter(None, [status.get("reason"), status.get("message")]))
    return f"GPU {uuid(found) or f'of pod {_name(found)}'}: {said or ', '.join(codes) or 'failed'}"


def _sum(answers: list[str], taken: int, uuids: list[str]) -> str:
    strange = sorted(set(answers) - set(uuids))
    twice = sorted(name for name, times in Counter(answers).items() if times > 1)
    if strange:
        return f"pods got {', '.join(map(repr, strange))}, which the driver does not list ({', '.join(uuids)})"
    if twice:
        return f"{', '.join(twice)} was given to two pods at the same time"
    if len(answers) + taken != len(uuids):
        return f"pods got {len(answers)} GPUs and other pods hold {taken}, the driver lists {len(uuids)}"
    return ""


def _smokes(found: Object) -> bool:
    return LABELS.items() <= (found["metadata"].get("labels") or {}).items()


def _on(found: Object, node: str) -> bool:
    return found["spec"].get("nodeName") == node and _phase(found) not in ("Succeeded", "Failed")


def _phase(found: Object) -> str:
    return (found.get("status") or {}).get("phase") or ""


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _title(found: Object) -> str:
    return f"{found['metadata'].get('namespace')}/{_name(found)}"

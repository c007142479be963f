"""Whether a workload is rolled out, and what a person should know when it is not. Pure functions over the API's objects."""

from __future__ import annotations

import typing as t

Object = dict[str, t.Any]
# A container that crashed this often does so for a reason that waiting does not cure.
CRASHES = 3


def observed(workload: Object) -> bool:
    """Its controller has seen what was applied last, so that its status is of that."""
    return bool((workload.get("status") or {}).get("observedGeneration", 0) >= workload["metadata"]["generation"])


def revision(one: Object) -> str:
    """Number that the Deployment controller gives each template, on the Deployment and on its ReplicaSets."""
    return str((one["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))


def rolled_out(workload: Object) -> bool:
    """Every declared pod of a Deployment or DaemonSet is of its newest template, and available."""
    status = workload.get("status") or {}
    if not observed(workload):
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status["desiredNumberScheduled"]
        return status.get("updatedNumberScheduled", 0) == wanted == status.get("numberAvailable", 0)
    wanted = workload["spec"]["replicas"]
    return status.get("updatedReplicas", 0) == wanted == status.get("availableReplicas", 0) == status.get("replicas", 0)


def progress(workload: Object) -> str:
    """KIND NAME: AVAILABLE of WANTED."""
    status = workload.get("status") or {}
    if workload["kind"] == "DaemonSet":
        available, wanted = status.get("numberAvailable", 0), status.get("desiredNumberScheduled", 0)
    else:
        available, wanted = status.get("availableReplicas", 0), workload["spec"]["replicas"]
    return f"{workload['kind']} {workload['metadata']['name']}: {available} of {wanted} available"


def stuck(workload: Object) -> str:
    """Why its controller gave up on a Deployment, or nothing."""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Progressing" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason"))
    return ""


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])


def crashing(pod: Object) -> str:
    """Name of a container that crashes again and again, or nothing."""
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if container.get("restartCount", 0) >= CRASHES and waiting.get("reason") == "CrashLoopBackOff":
            return str(container["name"])
    return ""


def pod_ready(pod: Object) -> bool:
    """The pod takes requests, and is not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def pod_problem(pod: Object) -> str:
    """Why a pod is not ready, in one line; nothing when it is."""
    if pod_ready(pod):
        return ""
    found = []
    if pod["metadata"].get("deletionTimestamp"):
        found.append("is being deleted")
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason"):
            found.append(f"{container['name']}: {waiting['reason']} {waiting.get('message') or ''}".strip())
        if ended and ended.get("exitCode") != 0:
            found.append(f"{container['name']}: exit code {ended['exitCode']} ({ended.get('reason', '')})")
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            found.append(f"{condition.get('reason')}: {condition.get('message')}")
    phase = (pod.get("status") or {}).get("phase", "Unknown")
    node = pod["spec"].get("nodeName") or "no node"
    return f"pod {pod['metadata']['name']} on {node}: {'; '.join(found) or f'{phase}, not ready'}"


def unmounted(pod: Object) -> list[str]:
    """Claims of a pod on a node that has no sandbox yet; a pod gets one once its volumes are mounted."""
    status = pod.get("status") or {}
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or []}
    if status.get("phase") != "Pending" or conditions.get("PodReadyToStartContainers") != "False":
        return []
    claims = [volume.get("persistentVolumeClaim") for volume in pod["spec"].get("volumes") or []]
    return [claim["claimName"] for claim in claims if claim]


def warnings(events: list[Object], names: set[str], limit: int = 8) -> list[str]:
    """The latest warnings about objects of these names."""
    about = [event for event in events if event.get("type") == "Warning" and event["involvedObject"].get("name") in names]
    about.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    lines = [
        f"{event['involvedObject']['kind']} {event['involvedObject']['name']}: {event.get('reason')}: {event.get('message')}"
        for event in about
    ]
    return list(dict.fromkeys(lines))[-limit:]


def selector(workload: Object) -> str:
    """Label selector of the workload's pods."""
    return ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())

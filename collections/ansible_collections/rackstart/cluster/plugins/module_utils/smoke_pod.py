"""The pod that proves one GPU."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import operator

Object = dict[str, t.Any]

RESOURCE = "nvidia.com/gpu"
VALIDATOR = "nvidia-operator-validator"  # the operator's DaemonSet, whose image has CUDA's vectorAdd
LABELS = {"app.kubernetes.io/name": "gpu-smoke", "app.kubernetes.io/managed-by": "rackstart"}
SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items())
NODE_LABEL = "app.kubernetes.io/instance"
PROOF = "nvidia-smi --query-gpu=uuid --format=csv,noheader >/dev/termination-log && vectorAdd"


def pod(node: str, validator: Object, seconds: int) -> Object:
    """A pod that holds a GPU of the node from its proof, an init container, until it is deleted or its time is up.

    validator: pod template of the operator's own. The scheduler and the device plugin give it the GPU as they do to any pod.
    """
    spec, own = validator["spec"], validator["spec"]["containers"][0]
    base = {
        "image": own["image"],
        "imagePullPolicy": own.get("imagePullPolicy") or "IfNotPresent",
        "env": [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}],
        "resources": {"limits": {RESOURCE: "1"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "gpu-smoke-", "namespace": operator.NAMESPACE, "labels": LABELS | {NODE_LABEL: node}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": seconds,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "runtimeClassName": spec.get("runtimeClassName") or "nvidia",
            "imagePullSecrets": spec.get("imagePullSecrets") or [],
            "affinity": {"nodeAffinity": required},
            "tolerations": [{"operator": "Exists"}],  # a cordoned or tainted node is proven too
            "initContainers": [base | {"name": "proof", "command": ["sh", "-c", PROOF]}],
            "containers": [base | {"name": "hold", "command": ["sleep", str(seconds)]}],
        },
    }

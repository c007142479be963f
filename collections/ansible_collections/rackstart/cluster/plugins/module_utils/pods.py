"""What all pods of the namespace `llm` have in common."""

from __future__ import annotations

import base64
import hashlib
import typing as t

Object = dict[str, t.Any]

NAMESPACE = "llm"
# The user that vLLM's image is made for: uid 2000, and group 0 for its directories.
POD_SECURITY: Object = {
    "runAsUser": 2000,
    "runAsGroup": 0,
    "fsGroup": 0,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Object = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def labels(name: str, component: str) -> dict[str, str]:
    """Labels of every object; managed-by says that it may be removed once it is no longer declared."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "rackstart",
        "app.kubernetes.io/managed-by": "rackstart",
    }


def selector(all_labels: dict[str, str]) -> dict[str, str]:
    """The labels that tell pods of one workload from all others; a workload's selector can never change."""
    return {key: all_labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")}


def namespace() -> Object:
    """The namespace, closed to pods that want more than the restricted profile."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {
                "app.kubernetes.io/part-of": "rackstart",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    }


def mark(*contents: str) -> str:
    """Tells one content from another and nothing else of it: in a pod's annotations, what makes new pods when it changes."""
    return hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16]


def secret(data: dict[str, str], name: str, component: str, kind: str = "Opaque") -> Object:
    """A Secret. data: text by name."""
    meta = {"name": name, "namespace": NAMESPACE, "labels": labels(name, component)}
    held = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": meta, "data": held}


def secret_variable(variable: str, name: str) -> Object:
    """A container's variable that holds the entry `key` of a Secret, and so is in no argument and no manifest."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": "key"}}}


# To the cluster's DNS, whose pods k3s labels so.
TO_DNS: Object = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def admitted(port: int, *components: str) -> Object:
    """Rule that lets pods of some components in."""
    peers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": component}}} for component in components]
    return {"from": peers, "ports": [{"protocol": "TCP", "port": port}]}


def network_policy(name: str, all_labels: dict[str, str], match: dict[str, str], ingress: list[Object], egress: list[Object]) -> Object:
    """What pods may be reached by, and reach; all else is closed."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": all_labels},
        "spec": {"podSelector": {"matchLabels": match}, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress},
    }


def disruption_budget(name: str, all_labels: dict[str, str]) -> Object:
    """A drain takes one pod of a workload at a time, and any that is not ready: one that crashes for ever would hold its node for ever."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": all_labels},
        "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": selector(all_labels)}},
    }


def claim_volume(name: str, claim: str) -> Object:
    """A read-only volume of a pod."""
    return {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def spec(containers: list[Object], volumes: list[Object], node_selector: dict[str, str], grace: int, gpu: bool = True) -> Object:
    """Specification of a pod on GPU nodes, or on those without a taint. grace: seconds from the request to stop until it is killed."""
    return {
        "automountServiceAccountToken": False,
        # Else a Service named like an engine's variables would overwrite them (VLLM_PORT and the like).
        "enableServiceLinks": False,
        "nodeSelector": ({"gpu": "true"} if gpu else {}) | node_selector,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}] if gpu else [],
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": grace,
        "containers": containers,
        "volumes": volumes,
    }


def daemon_set(name: str, all_labels: dict[str, str], pod_spec: Object) -> Object:
    """One pod on every node that the pod's specification selects, all of them updated at once."""
    own = all_labels | {"app.kubernetes.io/instance": name}
    match = selector(all_labels) | {"app.kubernetes.io/instance": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": all_labels},
        "spec": {
            "selector": {"matchLabels": match},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
            "template": {"metadata": {"labels": own}, "spec": pod_spec},
        },
    }

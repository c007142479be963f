"""Kubernetes objects of the weights: one read-only volume and claim per revision, and the pods that prove it on every GPU node."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import pods
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import on_gpu

Model = dict[str, t.Any]
Object = dict[str, t.Any]


def path(model: Model, export: str) -> str:
    """Directory of the model's revision on the NFS server."""
    return f"{export.rstrip('/')}/{model['repo']}/{model['revision']}"


def paths(models: list[Model], export: str) -> dict[str, str]:
    """Directory of each model's revision below the given one."""
    return {model["name"]: path(model, export) for model in models}


def claim(model: Model, server: str, export: str) -> str:
    """Name of the volume, its claim and the pods that check it: another server, path or revision is another volume."""
    digest = hashlib.sha256("\n".join((server, path(model, export), model["revision"])).encode()).hexdigest()
    return f"weights-{model['name']}-{digest[:8]}"


def claims(models: list[Model], server: str, export: str) -> dict[str, str]:
    """Name of each model's claim."""
    return {model["name"]: claim(model, server, export) for model in models}


def objects(models: list[Model], server: str, export: str, mount_options: list[str], image: str) -> list[Object]:
    """Namespace, volumes, claims and checking DaemonSets of all models, in the order to apply them."""
    return [pods.namespace(), *(item for model in models for item in _model(model, server, export, mount_options, image))]


def _model(model: Model, server: str, export: str, mount_options: list[str], image: str) -> list[Object]:
    name = claim(model, server, export)
    labels = pods.labels(model["name"], "weights")
    size = "1Gi"  # NFS enforces none, but the field is required, and volume and claim must agree
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "mountOptions": mount_options,
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": pods.NAMESPACE, "name": name},
            "nfs": {"server": server, "path": path(model, export), "readOnly": True},
        },
    }
    bound = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": pods.NAMESPACE, "labels": labels},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": size}},
        },
    }
    container = {
        "name": "check",
        "image": image,
        "command": ["tail", "-f", "/dev/null"],
        # Ready says: mounted here, and readable by the user that the engine runs as.
        "readinessProbe": {"exec": {"command": ["test", "-r", "/model/MANIFEST.sha256"]}, "periodSeconds": 5, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "model", "mountPath": "/model", "readOnly": True}],
    }
    spec = pods.spec([container], [pods.claim_volume("model", name)], model["node_selector"], 1, on_gpu(model))
    return [volume, bound, pods.daemon_set(name, labels, spec)]

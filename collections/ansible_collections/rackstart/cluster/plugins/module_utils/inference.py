"""Kubernetes objects that serve the models, each with its engine, to the gateway alone."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import ollama, pods, vllm
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import (
    ENGINE,
    GRACE,
    Model,
    Object,
    Settings,
    on_gpu,
    startup_budget,
)
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import KEY_SECRET as KEY_SECRET
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import PORT as PORT

ENGINES: dict[str, t.Any] = {"vllm": vllm, "ollama": ollama}


def rollout_budget(model: Model) -> int:
    """Seconds for one replica to be replaced: the old one drains, the new one starts."""
    return GRACE + startup_budget(model) + 120


def total_budget(models: list[Model]) -> int:
    """Seconds for every replica of every model to be replaced, or to stop: models side by side, replicas one after the other."""
    return max((rollout_budget(model) * max(1, int(model["replicas"])) for model in models), default=0)


def deployment(model: Model, settings: Settings) -> Object:
    """The replicas of a model."""
    labels = pods.labels(model["name"], "inference")
    match = pods.selector(labels)
    engine = ENGINES[model["engine"]]
    template = {"labels": labels | {ENGINE: model["engine"]}, "annotations": {"rackstart.io/engine-key": settings["key"]}}
    volumes = [pods.claim_volume("model", settings["claims"][model["name"]]), *engine.volumes(settings)]
    spec = pods.spec([engine.container(model, settings)], volumes, model["node_selector"], GRACE, on_gpu(model)) | {
        "serviceAccountName": "inference",
        **({"runtimeClassName": "nvidia"} if on_gpu(model) else {}),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": match},
                "matchLabelKeys": ["pod-template-hash"],
                "nodeTaintsPolicy": "Honor",
            }
        ],
    }
    # A new pod may get its GPU only from an old one: never ask for one more than there are.
    # Also for a single replica: a Deployment whose strategy changes amid a rollout is one that its controller leaves alone.
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": model["name"], "namespace": pods.NAMESPACE, "labels": labels},
        "spec": {
            "replicas": model["replicas"],
            "selector": {"matchLabels": match},
            "strategy": rolling,
            "progressDeadlineSeconds": rollout_budget(model),
            "revisionHistoryLimit": 3,
            "template": {"metadata": template, "spec": spec},
        },
    }


def service(model: Model) -> Object:
    """The addresses of the ready replicas under the model's name in the cluster's DNS: the gateway chooses among them itself."""
    labels = pods.labels(model["name"], "inference")
    port: Object = {"name": "http", "protocol": "TCP", "port": PORT, "targetPort": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": model["name"], "namespace": pods.NAMESPACE, "labels": labels},
        "spec": {"type": "ClusterIP", "clusterIP": "None", "selector": pods.selector(labels), "ports": [port]},
    }


def disruption_budget(model: Model) -> Object:
    """A drain takes one replica at a time."""
    return pods.disruption_budget(model["name"], pods.labels(model["name"], "inference"))


def network_policy() -> Object:
    """Engines answer the gateway and who reads their metrics, and ask nobody but DNS: a model's weights may hold code."""
    labels = pods.labels("engines", "inference")
    return pods.network_policy(
        "engines", labels, {"app.kubernetes.io/component": "inference"}, [pods.admitted(PORT, "gateway", "monitoring")], [pods.TO_DNS]
    )


def _prepull(name: str, image: str, gpu: bool) -> Object:
    """An engine's image on every node with GPUs, or without, before any replica needs it."""
    container = {
        "name": "image",
        "image": image,
        # Runs on, so that the kubelet does not take the image for unused.
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
    }
    return pods.daemon_set(name, pods.labels("engine", "prepull"), pods.spec([container], [], {}, 1, gpu))


def foundation(models: list[Model], images: dict[str, str]) -> list[Object]:
    """Namespace, service account, network policy, and the images of the engines that are used."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "inference", "namespace": pods.NAMESPACE, "labels": pods.labels("inference", "inference")},
        "automountServiceAccountToken": False,
    }
    used = sorted({(model["engine"], on_gpu(model)) for model in models})
    sets = [_prepull(f"prepull-{engine}{'' if gpu else '-cpu'}", images[engine], gpu) for engine, gpu in used]
    return [pods.namespace(), account, network_policy(), *sets]


def objects(models: list[Model]) -> list[Object]:
    """What leads to the replicas of each model, and bounds how many of them may be away."""
    return [item for model in models for item in (service(model), disruption_budget(model))]


def deployments(models: list[Model], settings: Settings) -> list[Object]:
    """The replicas of every model; those that want more GPUs on one host come first, before others have spread over all hosts."""
    return [deployment(model, settings) for model in sorted(models, key=lambda model: -int(model["gpus_per_replica"]))]

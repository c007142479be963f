"""Kubernetes objects that serve the models with vLLM, to the gateway alone."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import golden, pods

Model = dict[str, t.Any]
Object = dict[str, t.Any]

PORT = 8000
PRESTOP = 15  # seconds until every proxy has stopped sending requests to a pod that is to stop
KEY_SECRET = "engine-key"  # its only entry, `key`, is what every engine asks for
DRAIN = 60  # seconds for requests that are under way
GRACE = PRESTOP + DRAIN + 15
PERIOD = 5  # of the startup probe, seconds
PATIENCE = 60  # seconds for one golden answer of a replica that has just started; on running out it is asked again


class Settings(t.TypedDict):
    """What is the same for all models.

    image: pinned by digest; claims: name of each model's claim; shm_size: a quantity; key: mark of the engines' key, see pods.mark.
    """

    image: str
    claims: dict[str, str]
    read_only_root: bool
    gpu_memory_utilization: float
    shm_size: str
    key: str


def startup_budget(model: Model) -> int:
    """Seconds until a start counts as failed: twice the declared time, since a kill makes all of it start again."""
    return 2 * int(model["startup_seconds"])


def rollout_budget(model: Model) -> int:
    """Seconds for one replica to be replaced: the old one drains, the new one starts."""
    return GRACE + startup_budget(model) + 120


def total_budget(models: list[Model]) -> int:
    """Seconds for every replica of every model to be replaced, or to stop: models side by side, replicas one after the other."""
    return max((rollout_budget(model) * max(1, int(model["replicas"])) for model in models), default=0)


def arguments(model: Model, gpu_memory_utilization: float = 0.92) -> list[str]:
    """Arguments of `vllm serve`, the image's entry point."""
    return [
        "/model",
        f"--served-model-name={model['served_name']}",
        f"--port={PORT}",
        f"--max-model-len={model['context_length']}",
        f"--dtype={model['dtype']}",
        f"--tensor-parallel-size={model['gpus_per_replica']}",
        f"--gpu-memory-utilization={gpu_memory_utilization}",
        # The client decides how to sample, not a file beside the weights.
        "--generation-config=vllm",
        f"--shutdown-timeout={DRAIN}",
        "--disable-access-log-for-endpoints=/health,/metrics,/ping",
        *map(str, model.get("extra_args") or []),
    ]


def environment(model: Model) -> dict[str, str]:
    """Environment of the engine: offline, quiet, and every cache in the pod's one writable directory. The model's own comes last."""
    return {
        "HOME": "/cache",
        "USER": "vllm",
        "XDG_CACHE_HOME": "/cache",
        "XDG_CONFIG_HOME": "/cache/config",
        "HF_HOME": "/cache/huggingface",
        "VLLM_CACHE_ROOT": "/cache/vllm",
        "NUMBA_CACHE_DIR": "/cache/numba",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_MAX_N_SEQUENCES": "64",
        "PROMETHEUS_DISABLE_CREATED_SERIES": "True",
        **{name: str(value) for name, value in (model.get("env") or {}).items()},
    }


def _probe(period: int, timeout: int, failures: int) -> Object:
    return {"httpGet": {"path": "/health", "port": "http"}, **_every(period, timeout, failures)}


def _every(period: int, timeout: int, failures: int) -> Object:
    return {"periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}


def _startup(model: Model) -> Object:
    """A replica takes requests once its golden answers are right, wherever and whenever it starts; no other is replaced before."""
    each = PATIENCE * max(1, len(model["golden_prompts"]))
    ask = {"exec": {"command": golden.command(model, PORT, PATIENCE)}}
    return {**ask, **_every(PERIOD, each, math.ceil(startup_budget(model) / PERIOD))}


def _container(model: Model, settings: Settings) -> Object:
    resources = model["resources"]
    return {
        "name": "engine",
        "image": settings["image"],
        "args": arguments(model, settings["gpu_memory_utilization"]),
        "env": [
            *({"name": name, "value": value} for name, value in environment(model).items()),
            pods.secret_variable("VLLM_API_KEY", KEY_SECRET),
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": _startup(model),
        "readinessProbe": _probe(5, 5, 3),
        "livenessProbe": _probe(10, 10, 6),
        # While it drains the engine refuses new requests, so it must not be told to before the proxies know.
        "lifecycle": {"preStop": {"sleep": {"seconds": PRESTOP}}},
        "resources": {
            "requests": resources.get("requests") or {},
            "limits": {**(resources.get("limits") or {}), "nvidia.com/gpu": str(model["gpus_per_replica"])},
        },
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": settings["read_only_root"]},
        "volumeMounts": [
            {"name": "model", "mountPath": "/model", "readOnly": True},
            {"name": "cache", "mountPath": "/cache"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }


def deployment(model: Model, settings: Settings) -> Object:
    """The replicas of a model."""
    labels = pods.labels(model["name"], "inference")
    match = pods.selector(labels)
    volumes = [
        pods.claim_volume("model", settings["claims"][model["name"]]),
        {"name": "cache", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings["shm_size"]}},
    ]
    spec = pods.spec([_container(model, settings)], volumes, model["node_selector"], GRACE) | {
        "serviceAccountName": "inference",
        "runtimeClassName": "nvidia",
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
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": model["name"], "namespace": pods.NAMESPACE, "labels": labels},
        "spec": {
            "replicas": model["replicas"],
            "selector": {"matchLabels": match},
            "strategy": rolling if model["replicas"] > 1 else {"type": "Recreate"},
            "progressDeadlineSeconds": rollout_budget(model),
            "revisionHistoryLimit": 3,
            "template": {"metadata": {"labels": labels, "annotations": {"rackstart.io/engine-key": settings["key"]}}, "spec": spec},
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
    labels = pods.labels(model["name"], "inference")
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": model["name"], "namespace": pods.NAMESPACE, "labels": labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": pods.selector(labels)}},
    }


def network_policy() -> Object:
    """Engines answer the gateway and who reads their metrics, and ask nobody but DNS: a model's weights may hold code."""
    labels = pods.labels("engines", "inference")
    return pods.network_policy(
        "engines", labels, {"app.kubernetes.io/component": "inference"}, [pods.admitted(PORT, "gateway", "monitoring")], [pods.TO_DNS]
    )


def foundation(image: str) -> list[Object]:
    """Namespace, service account, network policy, and the engine's image on every GPU node before any replica needs it."""
    labels = pods.labels("engine", "prepull")
    container = {
        "name": "image",
        "image": image,
        # Runs on, so that the kubelet does not take the image for unused.
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "inference", "namespace": pods.NAMESPACE, "labels": pods.labels("inference", "inference")},
        "automountServiceAccountToken": False,
    }
    return [pods.namespace(), account, network_policy(), pods.daemon_set("prepull-engine", labels, pods.spec([container], [], {}, grace=1))]


def objects(models: list[Model]) -> list[Object]:
    """What leads to the replicas of each model, and bounds how many of them may be away."""
    return [item for model in models for item in (service(model), disruption_budget(model))]


def deployments(models: list[Model], settings: Settings) -> list[Object]:
    """The replicas of every model."""
    return [deployment(model, settings) for model in models]

"""vLLM as the engine of a model: its container."""

from __future__ import annotations

import math

from ansible_collections.rackstart.cluster.plugins.module_utils import engines, golden, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import Model, Object, Settings

HEALTH = "/health"
ATTEMPTS = 20  # of a start: of one pod the kubelet tells 25 warnings, and then one in 300 s (events_cache.go of client-go)


def arguments(model: Model, gpu_memory_utilization: float = 0.92) -> list[str]:
    """Arguments of `vllm serve`, the image's entry point."""
    return [
        "/model",
        f"--served-model-name={model['served_name']}",
        f"--port={engines.PORT}",
        f"--max-model-len={model['context_length']}",
        f"--dtype={model['dtype']}",
        f"--tensor-parallel-size={model['gpus_per_replica']}",
        f"--gpu-memory-utilization={gpu_memory_utilization}",
        # The client decides how to sample, not a file beside the weights.
        "--generation-config=vllm",
        f"--shutdown-timeout={engines.DRAIN}",
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


def _startup(model: Model) -> Object:
    """A replica takes requests once its golden answers are right, wherever and whenever it starts; no other is replaced before."""
    budget = engines.startup_budget(model)
    attempts = min(ATTEMPTS, math.ceil(budget / engines.PERIOD))
    wait = math.ceil(budget / attempts)
    answers = sum(golden.TRIES * golden.patience(golden.request(model, prompt)) for prompt in model["golden_prompts"])
    return engines.ending({"exec": {"command": golden.command(model, engines.PORT, wait)}}, engines.PERIOD, wait + answers, attempts)


def container(model: Model, settings: Settings) -> Object:
    """An engine, from whose start to its first answer the startup probe has time."""
    return {
        "name": "engine",
        "image": settings["images"]["vllm"],
        "args": arguments(model, settings["gpu_memory_utilization"]),
        "env": [
            *({"name": name, "value": value} for name, value in environment(model).items()),
            pods.secret_variable("VLLM_API_KEY", engines.KEY_SECRET),
        ],
        "ports": [{"name": "http", "containerPort": engines.PORT}],
        "startupProbe": _startup(model),
        "readinessProbe": engines.probe(engines.health(HEALTH), 5, 5, 3),
        "livenessProbe": engines.ending(engines.health(HEALTH), 10, 10, 6),
        # While it drains the engine refuses new requests, so it must not be told to before the proxies know.
        "lifecycle": {"preStop": {"sleep": {"seconds": engines.PRESTOP}}},
        "resources": engines.resources(model),
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": settings["read_only_root"]},
        "volumeMounts": [
            {"name": "model", "mountPath": "/model", "readOnly": True},
            {"name": "cache", "mountPath": "/cache"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }


def volumes(settings: Settings) -> list[Object]:
    """Its volumes beside the weights."""
    return [
        {"name": "cache", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings["shm_size"]}},
    ]

"""What the engines have in common, whichever serves a model."""

from __future__ import annotations

import typing as t

Model = dict[str, t.Any]
Object = dict[str, t.Any]

PORT = 8000
PRESTOP = 15  # seconds until every proxy has stopped sending requests to a pod that is to stop
ENGINE = "rackstart.io/engine"  # label of replicas: metrics are read of those that have some
KEY_SECRET = "engine-key"  # its only entry, `key`, is what every engine asks for that can
DRAIN = 600  # seconds for requests that are under way, whose stream may be long
GRACE = PRESTOP + DRAIN + 15
LOST = 30  # seconds to end one that does not start or does not answer: there is nothing to wait for
PERIOD = 5  # of the startup probe, seconds


class Settings(t.TypedDict):
    """What is the same for all models.

    images: by engine, pinned by digest; claims: name of each model's claim; shm_size: a quantity; key: mark of the engines' key, see
    pods.mark.
    """

    images: dict[str, str]
    claims: dict[str, str]
    read_only_root: bool
    gpu_memory_utilization: float
    shm_size: str
    key: str


def probe(how: Object, period: int, timeout: int, failures: int) -> Object:
    """A readiness probe. period, timeout: seconds."""
    return {**how, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}


def ending(how: Object, period: int, timeout: int, failures: int) -> Object:
    """A probe whose failure ends the container: of its start, or of whether it lives."""
    return {**probe(how, period, timeout, failures), "terminationGracePeriodSeconds": LOST}


def health(path: str) -> Object:
    """How a probe asks for a page."""
    return {"httpGet": {"path": path, "port": "http"}}


def startup_budget(model: Model) -> int:
    """Seconds until a start counts as failed: twice the declared time, since a kill makes all of it start again."""
    return 2 * int(model["startup_seconds"])


def on_gpu(model: Model) -> bool:
    """Whether its replicas run on GPU nodes; without GPUs they run on the others."""
    return int(model["gpus_per_replica"]) > 0


def resources(model: Model) -> Object:
    """Of a container: as declared, and its GPUs."""
    declared = model["resources"]
    gpus = {"nvidia.com/gpu": str(model["gpus_per_replica"])} if on_gpu(model) else {}
    return {"requests": declared.get("requests") or {}, "limits": {**(declared.get("limits") or {}), **gpus}}

"""Preflight's checks of the declared models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import checks_ollama, engine_arguments, inference, placement, vllm
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import on_gpu
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, finding, told
from ansible_collections.rackstart.cluster.plugins.module_utils.gateway_keys import SERVED

FIELDS = ("name", "repo", "revision", "engine", "served_name", "replicas", "gpus_per_replica", "context_length", "startup_seconds")
NUMBERS = {"replicas": 0, "gpus_per_replica": 0, "context_length": 1, "startup_seconds": 1}  # and the least of each
KINDS = {
    str: ("text in quotes", ("name", "repo", "revision", "engine", "served_name", "file", "dtype")),
    list: ("a list", ("extra_args", "golden_prompts")),
    dict: ("a mapping", ("env", "node_selector", "resources")),
}
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+$")
KEY = "VLLM_API_KEY"
REVISION = re.compile(r"[0-9a-f]{40}$")
# As long as weights-NAME-DIGEST may be as a label's value (63), and no other Deployment of the namespace.
NAME = re.compile(r"(?!vllm(-|$)|(gateway|prometheus|checks)$)[a-z]([a-z0-9-]{0,44}[a-z0-9])?$")


def check(look: dict[str, Any]) -> Iterator[Finding]:
    yield from declared(look["models"])
    models = complete(look["models"])
    for model in models:
        yield from _arguments(model, look["arguments"])
        yield from _placement(model, models, look)
        yield from _access(model, look)
        yield from _size(model, look)
    yield from _room(models, look)


def declared(declarations: list[dict[str, Any]]) -> Iterator[Finding]:
    """What the declarations alone show."""
    for number, model in enumerate(declarations):
        fields = lacking(model)
        target = f"models/{model.get('name', number)}"
        yield finding("model.fields", target, not fields, f"no {told(fields)}" if fields else "all there", fields=told(fields))
    models = complete(declarations)
    counted = {field: Counter(model.get(field) for model in models) for field in ("name", "served_name")}
    for model in models:
        yield from _declaration(model, counted)
        if model["engine"] == "ollama":
            problems = checks_ollama.problems(model, models)
            yield reported("model.ollama", model, not problems, model["file"], problems="; ".join(problems))


def lacking(model: dict[str, Any]) -> list[str]:
    """Fields that a model must have and does not, or not as what they have to be."""
    kinds = [
        f"{field} as {words}"
        for kind, (words, fields) in KINDS.items()
        for field in fields
        if model.get(field) is not None and not isinstance(model[field], kind)
    ]
    numbers = [
        f"{field} as a whole number"
        for field in NUMBERS
        if model.get(field) is not None and not (isinstance(model[field], int) and model[field] >= NUMBERS[field])
    ]
    limit = model.get("golden_seconds", 1)
    if not (isinstance(limit, int | float) and limit > 0):
        numbers.append("golden_seconds as a number above 0")
    own = "file" if model.get("engine") == "ollama" else "dtype"
    resources = model.get("resources")
    if isinstance(resources, dict):
        kinds += [f"resources.{part} as a mapping" for part, value in resources.items() if not isinstance(value, dict)]
    return [field for field in (*FIELDS, own) if model.get(field) is None] + kinds + numbers


def complete(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Models that can be judged any further."""
    return [model for model in models if not lacking(model)]


def reported(id: str, model: dict[str, Any], *said: Any, **values: object) -> Finding:
    """A finding of a model."""
    return finding(id, f"models/{model['name']}", *said, **values)


def _declaration(model: dict[str, Any], counted: dict[str, Counter[Any]]) -> Iterator[Finding]:
    repo, revision, served = model["repo"], str(model["revision"]), model["served_name"]
    yield reported("model.repo", model, bool(REPOSITORY.match(repo)), repo)
    yield reported("model.revision", model, bool(REVISION.match(revision)), revision)
    yield reported("model.name", model, bool(NAME.match(model["name"])) and counted["name"][model["name"]] == 1, model["name"])
    yield reported("model.served_name", model, bool(SERVED.fullmatch(served)) and counted["served_name"][served] == 1, served)
    engine = model["engine"]
    without = "" if on_gpu(model) else " without a GPU"
    yield reported("model.engine", model, engine in inference.ENGINES and (engine == "ollama" or not without), f"{engine}{without}")
    prompts = model.get("golden_prompts") or []
    yield reported("model.golden_prompts", model, bool(prompts), len(prompts))


def _arguments(model: dict[str, Any], table: list[dict[str, Any]]) -> Iterator[Finding]:
    further = model.get("extra_args") or []
    if model["engine"] == "ollama":
        problems = checks_ollama.arguments(model)
    else:
        own = ["--model", "--api-key", *engine_arguments.values(vllm.arguments(model | {"extra_args": []}))]
        problems = engine_arguments.problems(further, own, table)
    if KEY in (model.get("env") or {}):
        problems.append(f"{KEY} in env: the engines' key is the gateway's")
    yield reported("model.arguments", model, not problems, told(further), problems="; ".join(problems) or "none")


def pool(model: dict[str, Any], look: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The hosts that a model may run on: those with GPUs, or, when it asks for none, those without a taint."""
    wanted = (model.get("node_selector") or {}).items()
    hosts = {
        name: host
        for name, host in look["hosts"].items()
        if ("gpu" in host["groups"] if on_gpu(model) else not host["taints"] and {"k3s_server", "k3s_agent"} & set(host["groups"]))
    }
    return {name: host for name, host in hosts.items() if all(host["labels"].get(key) == value for key, value in wanted)}


def places(model: dict[str, Any], host: dict[str, Any]) -> int:
    """Replicas that a host of the pool has GPUs for."""
    return int(host["gpu_count"] // model["gpus_per_replica"] if on_gpu(model) else model["replicas"])


def slots(model: dict[str, Any], look: dict[str, Any]) -> int:
    return sum(places(model, host) for host in pool(model, look).values())


def _group(model: dict[str, Any], look: dict[str, Any]) -> placement.Group:
    return placement.Group(model["replicas"], model["gpus_per_replica"], sorted(pool(model, look)))


def _placement(model: dict[str, Any], models: list[dict[str, Any]], look: dict[str, Any]) -> Iterator[Finding]:
    hosts, replicas, wide = pool(model, look), model["replicas"], model["gpus_per_replica"]
    room = slots(model, look)
    seen = f"{len(hosts)} GPU hosts match, with room for {room} replicas of {wide} GPUs" if wide else f"{len(hosts)} hosts match"
    yield reported("model.gpus", model, room >= replicas, seen, replicas=replicas)
    if wide:
        others = [other for other in models if other is not model and pool(other, look).keys() & hosts.keys()]
        gpus = {name: host["gpu_count"] for name, host in look["hosts"].items()}
        left = placement.left(_group(model, look), [_group(other, look) for other in others], gpus)
        names = told(other["name"] for other in others)
        seen = f"room for {left} in the worst case; on the same hosts: {names}"
        yield reported("model.placement", model, left >= min(replicas, room), seen, replicas=replicas, others=names)


def _room(models: list[dict[str, Any]], look: dict[str, Any]) -> Iterator[Finding]:
    have = sum(host["gpu_count"] for host in look["hosts"].values() if "gpu" in host["groups"])
    want = sum(model["replicas"] * model["gpus_per_replica"] for model in models)
    replicas = sum(model["replicas"] for model in models)
    yield reported("model.gpus", {"name": "*"}, want <= have, f"{have} GPUs, and {want} wanted", replicas=replicas)


def metadata(model: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    """What the hub said of a model; empty when it was not asked."""
    return look["sizes"].get(model["name"]) or {}


def _access(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    """Who may read: the remedy differs for no token, a refused one, and a licence that was not accepted."""
    size, token = metadata(model, look), look["token"]
    if _published(model, look):
        yield reported("model.access", model, True, "published already", remedy="none")
        return
    status = size.get("status") or size.get("access")
    refused = status in (401, 403)
    if not refused:
        seen = "not asked" if not status else f"the hub answers {status}"
        yield reported("model.access", model, True if status == 200 else None, seen, remedy="none")
        return
    page = f"the page of {model['repo']} on the hub"
    if not token:
        remedy = f"accept the licence on {page} if it asks for it, make a token with read access, and set hub_token to it"
    elif status == 401:
        remedy = "hub_token is mistyped, expired or revoked: make a new one"
    else:
        remedy = f"accept the licence on {page} with the token's own account; a fine-grained token also needs access to gated repositories"
    seen = f"the hub answers {status} {'to the token' if token else 'without a token'}"
    yield reported("model.access", model, False, seen, remedy=remedy)


def _published(model: dict[str, Any], look: dict[str, Any]) -> bool:
    path = f"{look['storage']['path']}/{model['repo']}/{model['revision']}"
    return any((host["probe"] or {}).get("store", {}).get(path) for host in look["hosts"].values())


def _size(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    size = metadata(model, look)
    known = "weights" in size
    yield reported("model.size", model, known, f"{size['store'] >> 20} MiB" if known else size.get("error", "not asked"))

"""Which weights are needed and why, from what the inventory declares and what the cluster's objects mount. Pure, but for `look`."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods, promotion, volumes

Object = dict[str, t.Any]
Seen = dict[str, list[Object]]

# By kind, where its pods' specification stands. A Job's or DaemonSet's pods may be gone for now, and come back.
TEMPLATES = {
    "Pod": ("v1", ("spec",)),
    "ReplicationController": ("v1", ("spec", "template", "spec")),
    "Deployment": ("apps/v1", ("spec", "template", "spec")),
    "ReplicaSet": ("apps/v1", ("spec", "template", "spec")),
    "StatefulSet": ("apps/v1", ("spec", "template", "spec")),
    "DaemonSet": ("apps/v1", ("spec", "template", "spec")),
    "Job": ("batch/v1", ("spec", "template", "spec")),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", "spec", "template", "spec")),
}
KINDS = {**{kind: version for kind, (version, _) in TEMPLATES.items()}, "PersistentVolumeClaim": "v1", "PersistentVolume": "v1"}


@dataclass
class Needs:
    """Claims in our namespace, and directories of the store below its root (empty for all of it), each with why it is needed.

    lost: what may need weights of which it cannot be told where they are.
    """

    claims: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def look(cluster: api.Cluster) -> Seen:
    """Every object that may mount weights. Raises when any kind cannot be listed: what was not seen is not unused."""
    seen: Seen = {}
    for kind, version in KINDS.items():
        resource = cluster.resource(version, kind)
        if resource is None:
            raise api.ClusterError(f"The cluster's API does not list its {kind} objects, so that nothing is known to be unused; run again.")
        seen[kind] = resource.get().to_dict()["items"] or []
    return seen


def relative(path: str, export: str) -> str:
    """A directory as below the store's root. Of another export the last three parts count, which are ORG/NAME/REVISION."""
    path, export = path.rstrip("/"), export.rstrip("/")
    if f"{path}/".startswith(f"{export}/"):
        return path[len(export) + 1 :]
    return "/".join(path.split("/")[-3:])


def needs(seen: Seen, models: list[Object], server: str, export: str, keep: t.Sequence[str] = (), ignored: t.Collection[str] = ()) -> Needs:
    """What is needed. Raises ClusterError when an annotation cannot be read.

    keep: further claims. ignored: components of ours whose objects do not count.
    """
    found = Needs()
    for model in models:
        reason = f"declared: {model['name']}"
        found.claims[volumes.claim(model, server, export)] = reason
        found.paths[f"{model['repo']}/{model['revision']}"] = reason
    for claim in keep:
        found.claims.setdefault(claim, "to be taken back to")
    specs = {one["metadata"]["name"]: one["spec"] for one in seen["PersistentVolume"]}
    bound = {_key(one): specs.get(one["spec"].get("volumeName")) for one in seen["PersistentVolumeClaim"]}
    for use in _uses(seen, ignored):
        if use.path:
            found.paths.setdefault(relative(use.path, export), use.reason)
            continue
        spec = bound.get((use.namespace, use.claim))
        ours = use.namespace == pods.NAMESPACE
        if spec is None and use.strict and ours and use.claim.startswith("weights-"):
            found.lost.append(f"{use.reason}, but the volume of its claim {use.claim} is gone")
        if spec and ours:
            found.claims.setdefault(use.claim, use.reason)
        if spec and "nfs" in spec:
            found.paths.setdefault(relative(spec["nfs"]["path"], export), use.reason)
    return found


class Use(t.NamedTuple):
    """Some object's claim, or directory of an NFS server. strict: it is of account that the claim is not there."""

    reason: str
    namespace: str
    claim: str = ""
    path: str = ""
    strict: bool = True


def _uses(seen: Seen, ignored: t.Collection[str]) -> Iterator[Use]:
    for kind, (_, place) in TEMPLATES.items():
        for one in seen[kind]:
            labels = one["metadata"].get("labels") or {}
            if labels.get("app.kubernetes.io/managed-by") == "rackstart" and labels.get("app.kubernetes.io/component") in ignored:
                continue
            namespace, name = _key(one)
            if kind == "Deployment":
                yield from (Use(f"{name} can be taken back to it", pods.NAMESPACE, claim) for claim in _former(one))
            if kind == "Pod" and (one.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue  # it has ended, and nothing of it is mounted
            # Kubernetes keeps some sets without replicas, whose volumes Rackstart removes once something newer has proved good.
            strict = kind != "ReplicaSet" or one["spec"].get("replicas", 1) > 0
            for mounted in functools.reduce(lambda part, key: part.get(key) or {}, place, one).get("volumes") or []:
                claim = (mounted.get("persistentVolumeClaim") or {}).get("claimName", "")
                path = (mounted.get("nfs") or {}).get("path", "")
                if claim or path:
                    yield Use(f"{kind} {namespace}/{name}", namespace, claim, path, strict)


def _key(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]


def _former(deployment: Object) -> list[str]:
    """Claims of what a Deployment can be taken back to."""
    try:
        return promotion.claims(promotion.good(deployment))
    except (ValueError, KeyError, TypeError) as error:
        place = f"The annotation {promotion.GOOD} of Deployment {deployment['metadata']['name']}"
        raise api.ClusterError(f"{place} cannot be read, so that it is not known what it needs; remove it by hand.") from error

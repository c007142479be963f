"""Which template of a model has proved good, kept with its Deployment, so that a newer one that fails is taken back to it."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods

Object = dict[str, t.Any]
Definitions = list[Object]

GOOD = "rackstart.io/good"  # definitions that proved good, newest first, as JSON
KEPT = 2  # of them: the one in service, and the one to go back to
MANAGER = "rackstart-good"  # a field manager of its own, so that applying the Deployment leaves the annotation alone


def good(live: Object | None) -> Definitions:
    """What a Deployment remembers, newest first."""
    return json.loads(((live or {"metadata": {}})["metadata"].get("annotations") or {}).get(GOOD, "[]"))


def mark(definition: Object) -> str:
    """The same for definitions whose replicas are the same."""
    return pods.mark(json.dumps(definition["spec"]["template"], sort_keys=True))


def remembered(former: Definitions, proved: Object) -> Definitions:
    """With a definition that has proved good at the front; the same template stands there once."""
    return [proved, *(one for one in former if mark(one) != mark(proved))][:KEPT]


def before(former: Definitions, tried: Object) -> Object | None:
    """What to take a failed definition back to; None when nothing else has proved good, or just this one."""
    return former[0] if former and mark(former[0]) != mark(tried) else None


def claims(former: Definitions) -> list[str]:
    """Claims that remembered definitions mount."""
    volumes = [volume for one in former for volume in one["spec"]["template"]["spec"]["volumes"]]
    return sorted({volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume})


def told(definition: Object) -> str:
    """A definition in a few words: which weights, which image."""
    [container] = definition["spec"]["template"]["spec"]["containers"]
    return f"{', '.join(claims([definition]))} with {container['image']}"


def keep(cluster: api.Cluster, name: str, known: Definitions) -> None:
    """Remember definitions with the Deployment, of which no replica is replaced for it."""
    patch = {"metadata": {"annotations": {GOOD: json.dumps(known, sort_keys=True)}}}
    where = {"name": name, "namespace": pods.NAMESPACE, "field_manager": MANAGER}
    cluster.resource("apps/v1", "Deployment").patch(body=patch, content_type="application/merge-patch+json", **where)

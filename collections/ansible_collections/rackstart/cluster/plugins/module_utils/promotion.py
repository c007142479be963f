"""Which template of a model has proved good, kept with its Deployment, so that a newer one that fails is taken back to it."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier
from ansible_collections.rackstart.cluster.plugins.module_utils.rollout import Rollout

Object = dict[str, t.Any]
Definitions = list[Object]

GOOD = "rackstart.io/good"  # definitions that proved good, newest first, as JSON; each with what its model was asked
ASKED = ("served_name", "golden_prompts", "golden_seconds", "context_length")  # of a model
KEPT = 2  # of them: the one in service, and the one to go back to
MANAGER = "rackstart-good"  # a field manager of its own, so that applying the Deployment leaves the annotation alone


def good(live: Object | None) -> Definitions:
    """What a Deployment remembers, newest first."""
    return json.loads(((live or {"metadata": {}})["metadata"].get("annotations") or {}).get(GOOD, "[]"))


def proved(definition: Object, model: Object) -> Object:
    """An entry of what is remembered: a definition, and what its model was asked."""
    return definition | {"asked": {key: model[key] for key in ASKED if key in model}}


def bare(entry: Object) -> Object:
    """What is applied of an entry."""
    return {key: value for key, value in entry.items() if key != "asked"}


def asked(entry: Object, model: Object) -> Object:
    """A model as it is to be asked when an entry serves; as declared where the entry does not say (before 'asked' was kept)."""
    return {key: value for key, value in model.items() if key not in ASKED} | entry["asked"] if "asked" in entry else model


def mark(definition: Object) -> str:
    """The same for definitions whose replicas are the same."""
    return pods.mark(json.dumps(definition["spec"]["template"], sort_keys=True))


def remembered(former: Definitions, proved: Object) -> Definitions:
    """With a definition that has proved good at the front; the same template stands there once."""
    return [proved, *(one for one in former if mark(one) != mark(proved))][:KEPT]


def serving(definition: Object, entry: Object) -> Object:
    """An entry as it is to serve in place of a definition: with as many replicas, so that none that serves is taken to have fewer.

    Its deadline is the longer one, since the replicas that it replaces drain.
    """
    old, new = definition["spec"], entry["spec"]
    deadline = max(old["progressDeadlineSeconds"], new["progressDeadlineSeconds"])
    return entry | {"spec": old | {"template": new["template"], "progressDeadlineSeconds": deadline}}


def before(former: Definitions, tried: Object) -> Object | None:
    """What to take a failed definition back to; None when nothing else has proved good, or just this one."""
    return bare(serving(tried, former[0])) if former and mark(former[0]) != mark(tried) else None


def claims(former: Definitions) -> list[str]:
    """Claims that remembered definitions mount."""
    volumes = [volume for one in former for volume in one["spec"]["template"]["spec"]["volumes"]]
    return sorted({volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume})


def told(definition: Object) -> str:
    """A definition in a few words: which weights, which image."""
    [container] = definition["spec"]["template"]["spec"]["containers"]
    return f"{', '.join(claims([definition]))} with {container['image']}"


def restore(cluster: api.Cluster, applier: Applier, back: Definitions, timeout: int) -> str:
    """Apply what proved good and wait for it; what came of it, for a person. timeout: seconds."""
    for one in back:
        applier.apply(one)
    try:
        Rollout(cluster, back).wait(timeout)
    except api.ClusterError as error:
        return f"What proved good before does not come up either: {error}"
    said = "; ".join(f"{one['metadata']['name']} to {told(one)}" for one in back)
    return f"Taken back: {said}."


def untouched(cluster: api.Cluster, applied: Definitions) -> None:
    """Raises ClusterError when a Deployment has another template than it had once it was applied."""
    for one in applied:
        name = one["metadata"]["name"]
        live = cluster.get("apps/v1", "Deployment", name, pods.NAMESPACE)
        if live is None or mark(live) != mark(one):
            raise api.ClusterError(f"Somebody else has changed Deployment/{name} meanwhile, so that nothing is proved of it; run again.")


def keep(cluster: api.Cluster, name: str, known: Definitions) -> None:
    """Remember definitions with the Deployment, of which no replica is replaced for it."""
    patch = {"metadata": {"annotations": {GOOD: json.dumps(known, sort_keys=True)}}}
    where = {"name": name, "namespace": pods.NAMESPACE, "field_manager": MANAGER}
    cluster.resource("apps/v1", "Deployment").patch(body=patch, content_type="application/merge-patch+json", **where)

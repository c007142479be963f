#!/usr/bin/python
"""Which template of each model is in service, and the way back to the one before."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods, promotion, prompts
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier
from ansible_collections.rackstart.cluster.plugins.module_utils.rollout import Rollout

DOCUMENTATION = """
module: model_state
short_description: Which template of each model is in service, and the way back to the one before
description:
  - Tells of each model what is in service and what it can be taken back to, or takes one back.
author: The Rackstart authors
options:
  state:
    description:
      - C(listed) only looks. C(taken_back) applies what proved good before what is in service, replica by replica, and asks each the
        golden prompts that it proved good with. When it does not come up or answers wrong, what proved good last is put back.
    type: str
    choices: [listed, taken_back]
    required: true
  name:
    description: Name of the model to take back.
    type: str
    default: ""
  models:
    description: The models as the inventory declares them.
    type: list
    elements: dict
    required: true
  answer_timeout:
    description: Seconds for one golden answer.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: By a dry run of the API server; nothing is waited for.
    support: full
"""

EXAMPLES = """
- name: Take a model back
  rackstart.cluster.model_state:
    state: taken_back
    name: tiny
    models: "{{ models }}"
"""

RETURN = """
found:
  description: Per declared model its name, declared revision, replicas, ready ones, C(service) and C(back), each with revision and image,
    or null.
  type: list
  elements: dict
  returned: success
"""

UNKNOWN = "not known"


def weights(cluster: api.Cluster, definition: api.Object) -> str:
    """The revision that a definition mounts, as the path of its volume ends."""
    for claim in promotion.claims([definition]):
        volume = cluster.get("v1", "PersistentVolume", claim) or {"spec": {}}
        return str((volume["spec"].get("nfs") or {}).get("path", UNKNOWN)).rpartition("/")[2]
    return UNKNOWN


def told(cluster: api.Cluster, definition: api.Object) -> dict[str, str]:
    [container] = definition["spec"]["template"]["spec"]["containers"]
    return {"revision": weights(cluster, definition), "image": container["image"]}


def backwards(cluster: api.Cluster, live: api.Object | None, former: promotion.Definitions) -> promotion.Definitions:
    """What a model can be taken back to, newest first. What is in service is not in it, which may never have proved good."""
    if not former:
        return []
    newest = Applier(cluster, dry=True).apply(promotion.bare(former[0]))
    return former[1:] if live and promotion.mark(newest) == promotion.mark(live) else former


def state(cluster: api.Cluster, model: dict[str, t.Any]) -> dict[str, t.Any]:
    """One entry of `found`."""
    live = cluster.get("apps/v1", "Deployment", model["name"], pods.NAMESPACE)
    back = backwards(cluster, live, promotion.good(live))
    return {
        "name": model["name"],
        "declared": model["revision"],
        "replicas": live["spec"]["replicas"] if live else 0,
        "ready": ((live or {}).get("status") or {}).get("readyReplicas", 0),
        "service": told(cluster, live) if live else None,
        "back": told(cluster, back[0]) if back else None,
    }


def patience(definition: api.Object) -> int:
    """Seconds for all replicas, which are replaced one after the other."""
    return definition["spec"]["progressDeadlineSeconds"] * max(1, definition["spec"]["replicas"])


def take_back(cluster: api.Cluster, applier: Applier, model: dict[str, t.Any], timeout: int) -> None:
    """Apply what proved good before, and remember the order. What does not come up is taken back itself. Raises ClusterError."""
    name = model["name"]
    live = cluster.get("apps/v1", "Deployment", name, pods.NAMESPACE)
    former = promotion.good(live)
    target = next(iter(backwards(cluster, live, former)), None)
    if target is None:
        raise api.ClusterError(f"{name} has nothing to be taken back to: only one template of it has proved good.")
    newest = former[0]["spec"]
    service = former[0] | {"spec": newest | {"replicas": live["spec"]["replicas"] or newest["replicas"]}}
    entry, *others = (promotion.serving(service, one) for one in [target, *(one for one in former if one is not target)])
    back = promotion.bare(entry)
    applied = applier.apply(back)
    if applier.dry:
        return
    try:
        Rollout(cluster, [back]).wait(patience(back))
        prompts.proved(cluster, [promotion.asked(entry, model) | {"replicas": back["spec"]["replicas"]}], timeout)
    except api.ClusterError as error:
        last = [promotion.bare(one) for one in others]
        what = promotion.restore(cluster, applier, last, patience(last[0])) if last else "Nothing else has proved good."
        raise api.ClusterError(f"{error}\n{what}") from error
    promotion.untouched(cluster, [applied])
    promotion.keep(cluster, name, [entry, *others])


def main() -> None:
    module = api.module(
        {
            "state": {"type": "str", "choices": ["listed", "taken_back"], "required": True},
            "name": {"type": "str", "default": ""},
            "models": {"type": "list", "elements": "dict", "required": True},
            "answer_timeout": {"type": "int", "default": 120},
        }
    )
    params = module.params
    models = {model["name"]: model for model in params["models"]}
    if params["state"] == "taken_back" and params["name"] not in models:
        module.fail_json(msg=f"there is no model {params['name']}; declared: {', '.join(models) or 'none'}")
    try:
        cluster = api.Cluster(module)
        applier = Applier(cluster, module.check_mode)
        if params["state"] == "taken_back":
            take_back(cluster, applier, models[params["name"]], params["answer_timeout"])
        found = [state(cluster, model) for model in models.values()]
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    module.exit_json(changed=bool(applier.changes), found=found)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Brings models to what is declared, and back to what they were when that fails."""

from __future__ import annotations

import time

from ansible_collections.rackstart.cluster.plugins.module_utils import api, engines, pods, promotion, prompts
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier
from ansible_collections.rackstart.cluster.plugins.module_utils.rollout import Rollout

DOCUMENTATION = """
module: model_rollout
short_description: Brings models to what is declared, and back to what they were when that fails
description:
  - Applies the Deployments of all models, removes those of others, waits until every replica is of the newest template and has answered
    its golden prompts, and remembers in an annotation what has proved good.
  - Replicas are replaced one after the other, each once the one before it answers right. When one does not start, crashes or answers
    wrong, the models whose template changed are taken back to what proved good last, and the module fails with the reason.
author: The Rackstart authors
options:
  definitions:
    description: The Deployments.
    type: list
    elements: dict
    required: true
  models:
    description: The models as the inventory declares them (name, served_name, replicas, context_length, golden_prompts,
      golden_seconds).
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds for every replica to be replaced.
    type: int
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
  diff_mode:
    description: Shows each changed Deployment before and after.
    support: full
"""

EXAMPLES = """
- name: Serve the models
  rackstart.cluster.model_rollout:
    definitions: "{{ deployments }}"
    models: "{{ models }}"
    timeout: 1800
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was made or changed.
  type: list
  elements: str
  returned: success
notes:
  description: For a person, which models a change of their only replica takes out of service, and for how long; in check mode also a change
    of a served name, else which golden answers came late under the clients' load.
  type: list
  elements: str
  returned: success
claims:
  description: Claims that what is in service, and what a model can be taken back to, mount.
  type: list
  elements: str
  returned: success
answers:
  description: Per replica, its model, name, node and each prompt with what was expected and what was answered.
  type: list
  elements: dict
  returned: success
"""

SELECTOR = "app.kubernetes.io/managed-by=rackstart,app.kubernetes.io/component=inference"
GONE = engines.GRACE + 60  # seconds that a model which is not declared any more may take to be gone: its replicas drain


class Models:
    """The Deployments of some models, as declared and as remembered."""

    def __init__(self, cluster: api.Cluster, applier: Applier, definitions: list[api.Object], models: list[dict]) -> None:
        self.cluster, self.applier, self.definitions, self.models = cluster, applier, definitions, models
        self.former = {one["metadata"]["name"]: promotion.good(self.live(one)) for one in definitions}

    def apply(self) -> None:
        self.applied = [self.applier.apply(definition) for definition in self.definitions]

    def live(self, definition: api.Object) -> api.Object | None:
        name = definition["metadata"]["name"]
        with api.telling(f"Deployment/{name}"):
            return self.cluster.get("apps/v1", "Deployment", name, pods.NAMESPACE)

    def replaced(self) -> list[str]:
        """Models whose only replica stops before its successor starts. Call it once all are applied."""
        alone = {f"Deployment/{one['metadata']['name']}" for one in self.definitions if one["spec"]["replicas"] == 1}
        templates = {name: [side["spec"]["template"] for side in sides if side] for name, *sides in self.applier.changes if name in alone}
        return [name.partition("/")[2] for name, found in templates.items() if len(found) == 2 and found[0] != found[1]]

    def renamed(self) -> list[str]:
        """What comes of each change of a served name: replicas know the new one alone, and until its stage the gateway the one before."""
        told = []
        for model in self.models:
            [before] = self.former[model["name"]][:1] or [{}]
            old, new = promotion.asked(before, model)["served_name"], model["served_name"]
            if old != new:
                told.append(f"{model['name']} is served as {new} instead of {old}: both names get 404 until stage gateway has run")
        return told

    def bring(self, timeout: int, answer_timeout: int) -> list[prompts.Answer]:
        """Wait until all are as applied; every replica's answers. Raises ClusterError, also for a wrong answer."""
        Rollout(self.cluster, self.definitions).wait(timeout)
        self.up = time.monotonic()
        return prompts.proved(self.cluster, self.models, answer_timeout)

    def remember(self) -> list[str]:
        """Keep what has proved good; the claims of all that is kept. Raises ClusterError when something else than was applied is there."""
        promotion.untouched(self.cluster, self.applied)
        models, kept = {model["name"]: model for model in self.models}, []
        for definition in self.definitions:
            name = definition["metadata"]["name"]
            known = promotion.remembered(self.former[name], promotion.proved(definition, models[name]))
            kept += promotion.claims(known)
            if known != self.former[name]:
                promotion.keep(self.cluster, name, known)
        return sorted(set(kept))

    def take_back(self, timeout: int) -> str:
        """Apply what proved good last, where something else was tried; what came of it."""
        back = [found for one in self.definitions if (found := promotion.before(self.former[one["metadata"]["name"]], one))]
        if not back:
            return "Nothing else has proved good, so that it stays as it is: mend the declaration, and run again."
        said = promotion.restore(self.cluster, self.applier, back, timeout)
        return f"{said} Mend the declaration in models.yml, or a further run tries the same again."


def main() -> None:
    module = api.module(
        {
            "definitions": {"type": "list", "elements": "dict", "required": True},
            "models": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "required": True},
            "answer_timeout": {"type": "int", "default": 120},
        }
    )
    params = module.params
    try:
        cluster = api.Cluster(module)
        applier = Applier(cluster, module.check_mode)
        models = Models(cluster, applier, params["definitions"], params["models"])
        models.apply()
        declared = {("Deployment", name) for name in models.former}
        applier.prune(declared, ["apps/v1/Deployment"], SELECTOR, pods.NAMESPACE, GONE)  # at once: others may wait for its GPUs
        replaced, since = models.replaced(), time.monotonic()
        result = {"changed": bool(applier.changes), "changes": applier.names, "diff": applier.diff}
        if module.check_mode:
            notes = [f"{name} has one replica: it answers nothing while its successor starts" for name in replaced]
            notes += models.renamed()
            kept = [claim for former in models.former.values() for claim in promotion.claims(former)]
            module.exit_json(**result, notes=notes, claims=kept, answers=[])
        try:
            answers = models.bring(params["timeout"], params["answer_timeout"])
        except api.ClusterError as error:
            module.fail_json(msg=f"{error}\n{models.take_back(params['timeout'])}")
        away = f"answered nothing for {models.up - since:.0f} s, while its only replica was replaced"
        notes = [f"{name} {away}" for name in replaced] + [line for answer in answers for line in prompts.late(answer)]
        module.exit_json(**result, notes=notes, claims=models.remember(), answers=answers)
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))


if __name__ == "__main__":
    main()

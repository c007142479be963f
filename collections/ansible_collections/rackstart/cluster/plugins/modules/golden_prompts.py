#!/usr/bin/python
"""Asks every replica its golden prompts."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, prompts

DOCUMENTATION = """
module: golden_prompts
short_description: Asks every replica its golden prompts
description:
  - Asks every ready replica of each model, by port-forward, the questions whose answers are known, and fails on a wrong answer.
  - An engine with damaged weights is healthy by its own account; only its answers show it.
author: The Rackstart authors
options:
  models:
    description: The models as the inventory declares them (name, served_name, replicas, golden_prompts).
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds for one answer.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Asks the same in check mode.
    support: full
"""

EXAMPLES = """
- name: Ask every replica
  rackstart.cluster.golden_prompts:
    models: "{{ models }}"
"""

RETURN = """
answers:
  description: Per replica, its model, name, node and each prompt with what was expected and what was answered.
  type: list
  elements: dict
  returned: always
"""


def main() -> None:
    module = api.module({"models": {"type": "list", "elements": "dict", "required": True}, "timeout": {"type": "int", "default": 120}})
    answers: list[dict] = []
    try:
        cluster = api.Cluster(module)
        for model in module.params["models"]:
            found = prompts.ask_all(cluster, model, module.params["timeout"])
            answers += found
            if len(found) != model["replicas"]:
                module.fail_json(msg=f"{model['name']}: {len(found)} of {model['replicas']} replicas are ready to answer.", answers=answers)
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error), answers=answers)
    wrong = [text for answer in answers for text in prompts.wrong(answer)]
    if wrong:
        remedy = "Look at the replicas' logs (kubectl --namespace llm logs POD), mend what they complain of, and run again."
        module.fail_json(msg="\n".join(["Wrong answers:", *wrong, remedy]), answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()

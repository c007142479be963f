#!/usr/bin/python
"""Removes from a store the revisions of models that nothing needs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackstart.cluster.plugins.module_utils import store as shelf
from ansible_collections.rackstart.cluster.plugins.module_utils import store_unused

DOCUMENTATION = """
module: store_unused
author: The Rackstart authors
short_description: Removes from a store the revisions of models that nothing needs
description:
  - In two steps, so that the cluster can be looked at once more between them. C(aside) takes what is not needed from its place by a
    rename, C(gone) puts back what is needed after all and removes the rest.
  - Cut short at any moment, nothing is left that looks like a whole revision, and the next time goes on.
  - Waits for whoever writes the store, and fails when that takes too long.
options:
  store:
    description: Directory of the store.
    type: path
    required: true
  needed:
    description: Directories below the store that are needed, each with the reason; an empty one is all of the store.
    type: dict
    required: true
  state:
    description: Which of the steps.
    type: str
    choices: [aside, gone]
    required: true
  lock_seconds:
    description: Seconds to wait for a run that writes the store.
    type: int
    default: 10
attributes:
  check_mode:
    description: Tells what it would remove.
    support: full
"""

EXAMPLES = """
- name: Set aside what nothing needs
  rackstart.cluster.store_unused:
    store: /srv/models
    needed: {org/name/0123456789abcdef0123456789abcdef01234567: declared}
    state: aside
"""

RETURN = """
found:
  description: What the store held before, each with what (its path), bytes, and why it is kept, which is empty for what is not.
  type: list
  elements: dict
  returned: success
"""

STEPS = {"aside": store_unused.set_aside, "gone": store_unused.settle}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "required": True},
            "needed": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": list(STEPS), "required": True},
            "lock_seconds": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params, store = module.params, Path(module.params["store"])
    if not store.is_dir():
        module.fail_json(msg=f"there is no store at {store}; run the stage storage")
    try:
        with nullcontext() if module.check_mode else shelf.locked(store, params["lock_seconds"]):
            found = store_unused.found(store, params["needed"])
            if not module.check_mode:
                if params["state"] == "gone":  # what was published since the first step stays
                    found = [entry for entry in found if entry["why"] or entry["what"].startswith(".")]
                STEPS[params["state"]](store, params["needed"])
    except shelf.StoreError as error:
        module.fail_json(msg=f"{error}; nothing was removed")
    except OSError as error:
        module.fail_json(msg=f"{error}; the store at {store} cannot be read or written. Nothing is lost that is needed; run again")
    module.exit_json(changed=any(not entry["why"] for entry in found), found=found)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Module: model revisions in the store."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.rackstart.cluster.plugins.module_utils import store as shelf
from ansible_collections.rackstart.cluster.plugins.module_utils import store_hub

DOCUMENTATION = """
module: model_revision
author: The Rackstart authors
short_description: Publish and verify model revisions in a store
description:
  - Fetches each pinned revision from a Hugging Face hub into a staging directory, checks every file against the hub's metadata, writes a
    manifest, and publishes it as STORE/ORG/NAME/REVISION by one rename.
  - A published revision is only verified. One that was altered is replaced by a fresh one, for which its good files are kept.
  - A download goes on where a former run stopped. Two runs at once wait for one another.
requirements: [huggingface_hub, only when something has to be fetched]
options:
  store:
    description: Directory of the store.
    type: path
    required: true
  models:
    description: Repository and revision (40 hexadecimal digits) of each model, and which file has its weights where not all do.
    type: list
    elements: dict
    required: true
    suboptions:
      repo:
        description: Repository on the hub.
        type: str
        required: true
      revision:
        description: Commit of the repository.
        type: str
        required: true
      file:
        description: The one file of weights to store.
        type: str
        default: ""
  endpoint:
    description: Address of the hub.
    type: str
    required: true
  token:
    description: Token for gated models.
    type: str
    default: ""
  publish:
    description: Publish what is missing or damaged; when false, only report it, and mend permissions.
    type: bool
    default: true
  full:
    description: Hash every file of published revisions, also those that look untouched.
    type: bool
    default: false
  stall_seconds:
    description: Seconds for which the hub may send nothing.
    type: int
    default: 120
  retry_seconds:
    description: Seconds for which the hub may refuse with 429 or 5xx, or be away, before a file is given up.
    type: int
    default: 600
  lock_seconds:
    description: Seconds to wait for another run that writes the store.
    type: int
    default: 3600
"""

EXAMPLES = """
- name: Publish the models
  rackstart.cluster.model_revision:
    store: /srv/models
    endpoint: https://huggingface.co
    models:
      - {repo: org/name, revision: 0123456789abcdef0123456789abcdef01234567}
"""

RETURN = """
published:
  description: Revisions that were published, or are to be in check mode and without O(publish), with the reason.
  type: list
  elements: dict
  returned: always
log:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
"""

ARGUMENTS = {
    "store": {"type": "path", "required": True},
    "models": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "repo": {"type": "str", "required": True},
            "revision": {"type": "str", "required": True},
            "file": {"type": "str", "default": ""},
        },
    },
    "endpoint": {"type": "str", "required": True},
    "token": {"type": "str", "default": "", "no_log": True},
    "publish": {"type": "bool", "default": True},
    "full": {"type": "bool", "default": False},
    "stall_seconds": {"type": "int", "default": 120},
    "retry_seconds": {"type": "int", "default": 600},
    "lock_seconds": {"type": "int", "default": 3600},
}


class Run:
    """One call of the module: what it may do, what it did."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.options = module, module.params
        self.store = Path(module.params["store"])
        self.log: list[str] = []
        self.published: list[dict[str, str]] = []

    def note(self, line: str) -> None:
        self.log.append(line)
        self.module.log(line)

    def settle(self, repo: str, revision: str, chosen: set[str]) -> bool:
        """Bring one revision to its declared state; True when that took (or, in check mode, takes) a change."""
        state = shelf.inspect(self.store, repo, revision, self.options["full"], chosen)
        if state.published and not state.damage:
            if not self.module.check_mode:
                shelf.open_modes(shelf.directory(self.store, repo, revision))
                shelf.write_record(self.store, repo, revision)
            return bool(state.modes)
        self.published.append({"repo": repo, "revision": revision, "reason": "; ".join(state.damage) or "not published yet"})
        if self.module.check_mode or not self.options["publish"]:
            return bool(self.module.check_mode and self.options["publish"])
        hub = store_hub.Hub(
            self.options["endpoint"], self.options["token"], self.options["stall_seconds"], self.options["retry_seconds"], self.note
        )
        size = store_hub.fetch(hub, self.store, repo, revision, chosen)
        self.note(f"published {repo} at {revision}, {size / 1e6:.1f} MB")
        return True

    def __call__(self) -> bool:
        chosen: dict[tuple[str, str], set[str]] = {}
        for model in self.options["models"]:
            chosen.setdefault((model["repo"], model["revision"]), set()).update(filter(None, [model["file"]]))
        alone = nullcontext() if self.module.check_mode else shelf.locked(self.store, self.options["lock_seconds"])
        with alone:
            changes = [self.settle(repo, revision, files) for (repo, revision), files in chosen.items()]
        return any(changes)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run = Run(module)
    reason = None
    try:
        changed = run()
    except shelf.StoreError as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        reason = missing_required_lib(str(error.name))
    except OSError as error:
        reason = f"{error}; the store at {run.store} cannot be read or written"
    if reason:
        module.fail_json(msg=reason, log=run.log, published=run.published)
    module.exit_json(changed=changed, published=run.published, log=run.log)


if __name__ == "__main__":
    main()

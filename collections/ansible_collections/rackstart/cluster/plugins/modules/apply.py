#!/usr/bin/python
"""Objects of the cluster exactly as declared."""

from __future__ import annotations

import copy
import typing as t

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils.rollout import Rollout

DOCUMENTATION = """
module: apply
short_description: Objects of the cluster exactly as declared
description:
  - Applies many definitions by server-side apply in one connection, and says truthfully what changed.
  - Fields that somebody added to these objects with kubectl or a client library are taken over first, so that applying removes them;
    kubernetes.core.k8s leaves them. Fields of controllers stay.
  - Removes objects of the given kinds and labels that are not declared, when asked to.
  - Waits until its Deployments and DaemonSets are rolled out, when asked to. Fails as soon as a container crashes again and again or a
    Deployment's own deadline is over, with the reason, the warnings about its pods and the end of the failing container's log.
author: The Rackstart authors
options:
  definitions:
    description: The objects, in the order to apply them.
    type: list
    elements: dict
    required: true
  prune:
    description: Removes what is not among the definitions any more.
    type: dict
    suboptions:
      kinds:
        description: API version and kind, such as apps/v1/Deployment, in the order to remove them.
        type: list
        elements: str
        required: true
      selector:
        description: Label selector of the objects that are ours.
        type: str
        required: true
      namespace:
        description: Namespace to look in; kinds without one are looked for in the whole cluster.
        type: str
        required: true
      timeout:
        description: Seconds that removed objects may take to be gone.
        type: int
        default: 300
  wait_timeout:
    description: Seconds for every pod of the Deployments and DaemonSets to be of the newest template and available. 0 does not wait.
    type: int
    default: 0
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: By a dry run of the API server; nothing is waited for.
    support: full
  diff_mode:
    description: Shows each changed object before and after.
    support: full
"""

EXAMPLES = """
- name: Make the namespace and keep no other ConfigMap of ours in it
  rackstart.cluster.apply:
    definitions:
      - {apiVersion: v1, kind: Namespace, metadata: {name: llm}}
    prune:
      kinds: [v1/ConfigMap]
      selector: app.kubernetes.io/managed-by=rackstart
      namespace: llm
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was made, changed or removed.
  type: list
  elements: str
  returned: success
"""

MANAGER = "rackstart"
# Names under which fields set by hand are recorded; OpenAPI-Generator is the Python client without a name of its own.
BY_HAND = ("kubectl", "OpenAPI-Generator", "python-requests", "curl")
RESTART = "kubectl-rollout"  # asks for fresh pods; taking that back would restart them once more
# What the server keeps about an object; none of it is declared.
NOT_DECLARED = ("creationTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


def union(one: dict, other: dict) -> dict:
    """Both sets of fields (fieldsV1)."""
    return {key: union(one.get(key, {}), other.get(key, {})) for key in one.keys() | other.keys()}


def adopted(live: api.Object) -> list[dict] | None:
    """managedFields in which fields set by hand belong to us; None when there are none to take over."""
    entries = live["metadata"].get("managedFields") or []

    def by_hand(entry: dict) -> bool:
        manager = entry["manager"]
        return entry["operation"] == "Update" and not entry.get("subresource") and manager.startswith(BY_HAND) and manager != RESTART

    taken = [entry for entry in entries if by_hand(entry)]
    if not taken:
        return None
    ours = next((entry for entry in entries if entry["manager"] == MANAGER and entry["operation"] == "Apply"), None)
    fields: dict = ours["fieldsV1"] if ours else {}
    for entry in taken:
        fields = union(fields, entry["fieldsV1"])
    mine = {"manager": MANAGER, "operation": "Apply", "apiVersion": live["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": fields}
    return [entry for entry in entries if not by_hand(entry) and entry is not ours] + [mine]


def seen(live: api.Object | None) -> api.Object:
    """The object without what the server itself keeps."""
    if live is None:
        return {}
    view = {key: value for key, value in copy.deepcopy(live).items() if key != "status"}
    view["metadata"] = {key: value for key, value in view["metadata"].items() if key not in NOT_DECLARED}
    return view


class Applier:
    """Applies and removes objects, and collects what changed. dry: on the server, nothing is kept."""

    def __init__(self, cluster: api.Cluster, dry: bool) -> None:
        self.cluster = cluster
        self.dry = {"dry_run": "All"} if dry else {}
        self.changes: list[tuple[str, api.Object, api.Object]] = []

    def note(self, definition: api.Object, before: api.Object, after: api.Object) -> None:
        if before != after:
            self.changes.append((f"{definition['kind']}/{definition['metadata']['name']}", before, after))

    def apply(self, definition: api.Object) -> None:
        meta = definition["metadata"]
        where = {"name": meta["name"], "namespace": meta.get("namespace")}
        resource = self.cluster.resource(definition["apiVersion"], definition["kind"])
        live = self.cluster.get(definition["apiVersion"], definition["kind"], **where)
        if self.dry and (resource is None or (live is None and meta.get("namespace"))):
            self.note(definition, {}, definition)  # its namespace or kind may not be there before the real run
            return
        if resource is None:
            raise api.ClusterError(f"The cluster knows no {definition['kind']} of {definition['apiVersion']}.")
        before = seen(live)
        fields = adopted(live) if live else None
        if fields:
            patch = {"metadata": {"managedFields": fields, "resourceVersion": live["metadata"]["resourceVersion"]}}
            if self.dry:  # a dry run keeps no adoption, so it would not see what applying removes
                after = seen(self.server_side(resource, definition))
                self.note(definition, before, after if after != before else after | {"": "(fields set by hand are removed)"})
                return
            resource.patch(body=patch, content_type="application/merge-patch+json", field_manager=MANAGER, **where)
        self.note(definition, before, seen(self.server_side(resource, definition)))

    def server_side(self, resource: t.Any, definition: api.Object) -> api.Object:
        meta = definition["metadata"]
        return resource.server_side_apply(
            body=definition,
            name=meta["name"],
            namespace=meta.get("namespace"),
            field_manager=MANAGER,
            force_conflicts=True,
            **self.dry,
        ).to_dict()

    def prune(self, declared: set[tuple[str, str]], kinds: list[str], selector: str, namespace: str, timeout: int) -> None:
        removed: list[tuple[str, str, str]] = []
        for api_version, kind in (text.rsplit("/", 1) for text in kinds):
            resource = self.cluster.resource(api_version, kind)
            inside = namespace if resource and resource.namespaced else None
            for live in self.cluster.list(api_version, kind, inside, selector):
                name = live["metadata"]["name"]
                if (kind, name) in declared or live["metadata"].get("deletionTimestamp"):
                    continue
                self.note(live | {"kind": kind}, seen(live), {})
                try:
                    resource.delete(name=name, namespace=inside, body={"propagationPolicy": "Foreground"}, **self.dry)
                except api.ERRORS as error:
                    if getattr(error, "status", None) != 404:
                        raise
                removed.append((api_version, kind, name))
        if removed and not self.dry:

            def left() -> list[str]:
                return [f"{kind}/{name}" for version, kind, name in removed if self.cluster.get(version, kind, name, namespace)]

            api.poll(lambda: None if left() else True, timeout, lambda: f"{', '.join(left())} was deleted but is not gone.")


def main() -> None:
    module = api.module(
        {
            "definitions": {"type": "list", "elements": "dict", "required": True},
            "prune": {
                "type": "dict",
                "options": {
                    "kinds": {"type": "list", "elements": "str", "required": True},
                    "selector": {"type": "str", "required": True},
                    "namespace": {"type": "str", "required": True},
                    "timeout": {"type": "int", "default": 300},
                },
            },
            "wait_timeout": {"type": "int", "default": 0},
        }
    )
    definitions, current = module.params["definitions"], "the API"
    try:
        applier = Applier(api.Cluster(module), module.check_mode)
        for definition in definitions:
            current = f"{definition['kind']}/{definition['metadata']['name']}"
            applier.apply(definition)
        if module.params["prune"]:
            current = "removing what is not declared"
            declared = {(definition["kind"], definition["metadata"]["name"]) for definition in definitions}
            applier.prune(declared, **module.params["prune"])
        if module.params["wait_timeout"] and not module.check_mode:
            current = "waiting"
            Rollout(applier.cluster, definitions).wait(module.params["wait_timeout"])
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=f"{current}: {api.reason(error)}")
    names = [name for name, _before, _after in applier.changes]
    diff = [
        {
            "before_header": name,
            "after_header": name,
            "before": yaml.safe_dump(before) if before else "",
            "after": yaml.safe_dump(after) if after else "",
        }
        for name, before, after in applier.changes
    ]
    module.exit_json(changed=bool(names), changes=names, diff=diff)


if __name__ == "__main__":
    main()

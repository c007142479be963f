"""Applies objects so that they are just as declared, and says what changed."""

from __future__ import annotations

import copy
import typing as t

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import api

MANAGER = "rackstart"
# Names under which fields set by hand are recorded; OpenAPI-Generator is the Python client without a name of its own.
BY_HAND = ("kubectl", "OpenAPI-Generator", "python-requests", "curl")
RESTART = "kubectl-rollout"  # asks for fresh pods; taking that back would restart them once more
# What the server keeps about an object; none of it is declared.
NOT_DECLARED = ("creationTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "resourceVersion", "selfLink", "uid")

# Of a volume: the claim that it was bound to. Another of the same name gets it once this is gone.
BOUND: api.Object = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}


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


def renew_files(cluster: api.Cluster, pod: api.Object, annotation: str, version: str) -> None:
    """Note with a pod which version of a ConfigMap or Secret it is to have mounted, unless it says so already.

    A change of the pod makes the kubelet renew its files at once; by itself it does so within two minutes.
    """
    meta = pod["metadata"]
    if (meta.get("annotations") or {}).get(annotation) != version:
        where = {"name": meta["name"], "namespace": meta["namespace"], "field_manager": MANAGER}
        note = {"metadata": {"annotations": {annotation: version}}}
        cluster.resource("v1", "Pod").patch(body=note, content_type="application/merge-patch+json", **where)


def released(live: api.Object | None) -> bool:
    """Whether it is a volume whose claim was deleted: it is kept for just that one, and the claim that is made anew would wait for ever."""
    return live is not None and live["kind"] == "PersistentVolume" and (live.get("status") or {}).get("phase") == "Released"


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
        # A request with a body is asked nothing by its parameters: of a removal the dry run stands in the body.
        self.removal = {"propagationPolicy": "Foreground"} | ({"dryRun": ["All"]} if dry else {})
        self.changes: list[tuple[str, api.Object, api.Object]] = []

    @property
    def names(self) -> list[str]:
        """KIND/NAME of what changed."""
        return [name for name, _before, _after in self.changes]

    @property
    def diff(self) -> list[dict[str, str]]:
        """Each changed object before and after, as Ansible shows it."""
        return [
            {
                "before_header": name,
                "after_header": name,
                "before": yaml.safe_dump(before) if before else "",
                "after": yaml.safe_dump(after) if after else "",
            }
            for name, before, after in self.changes
        ]

    def note(self, definition: api.Object, before: api.Object, after: api.Object) -> None:
        if before != after:
            self.changes.append((f"{definition['kind']}/{definition['metadata']['name']}", before, after))

    def apply(self, definition: api.Object) -> api.Object:
        """The object as the API has it then, or in a dry run as far as that can be told. Raises ClusterError."""
        with api.telling(f"{definition['kind']}/{definition['metadata']['name']}"):
            return self._apply(definition)

    def _apply(self, definition: api.Object) -> api.Object:
        meta = definition["metadata"]
        where = {"name": meta["name"], "namespace": meta.get("namespace")}
        resource = self.cluster.resource(definition["apiVersion"], definition["kind"])
        live = self.cluster.get(definition["apiVersion"], definition["kind"], **where)
        if self.dry and (resource is None or (live is None and meta.get("namespace"))):
            self.note(definition, {}, definition)  # its namespace or kind may not be there before the real run
            return definition
        if resource is None:
            raise api.ClusterError(f"The cluster knows no {definition['kind']} of {definition['apiVersion']}.")
        before = seen(live)
        fields = adopted(live) if live else None
        if fields:
            patch = {"metadata": {"managedFields": fields, "resourceVersion": live["metadata"]["resourceVersion"]}}
            if self.dry:  # a dry run keeps no adoption, so it would not see what applying removes
                after = seen(self.server_side(resource, definition))
                self.note(definition, before, after if after != before else after | {"": "(fields set by hand are removed)"})
                return after
            resource.patch(body=patch, content_type="application/merge-patch+json", field_manager=MANAGER, **where)
        free = released(live)
        if free and not self.dry:
            resource.patch(body=BOUND, content_type="application/merge-patch+json", field_manager=MANAGER, **where)
        after = seen(self.server_side(resource, definition))
        if free and self.dry:
            after["spec"]["claimRef"] = definition["spec"]["claimRef"]
        self.note(definition, before, after)
        return after

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

    def prune(
        self, declared: set[tuple[str, str]], kinds: list[str], selector: str, namespace: str, timeout: int, keep: t.Sequence[str] = ()
    ) -> None:
        """Remove what the selector finds and is not declared, and wait until it is gone. Raises ClusterError."""
        with api.telling("removing what is not declared"):
            self._prune(declared, kinds, selector, namespace, timeout, keep)

    def _prune(
        self, declared: set[tuple[str, str]], kinds: list[str], selector: str, namespace: str, timeout: int, keep: t.Sequence[str]
    ) -> None:
        removed: list[tuple[str, str, str]] = []
        for api_version, kind in (text.rsplit("/", 1) for text in kinds):
            resource = self.cluster.resource(api_version, kind)
            inside = namespace if resource and resource.namespaced else None
            for live in self.cluster.list(api_version, kind, inside, selector):
                name = live["metadata"]["name"]
                if (kind, name) in declared or name in keep or live["metadata"].get("deletionTimestamp"):
                    continue
                self.note(live | {"kind": kind}, seen(live), {})
                try:
                    resource.delete(name=name, namespace=inside, body=self.removal)
                except api.ERRORS as error:
                    if getattr(error, "status", None) != 404:
                        raise
                removed.append((api_version, kind, name))
        if removed and not self.dry:

            def left() -> list[str]:
                return [f"{kind}/{name}" for version, kind, name in removed if self.cluster.get(version, kind, name, namespace)]

            api.poll(lambda: None if left() else True, timeout, lambda: f"{', '.join(left())} was deleted but is not gone.")

"""What is applied where the objects that are there stand in its way, and that a dry run foretells it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import volumes
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier
from kubernetes.client.exceptions import ApiException

MODEL = {"name": "tiny", "repo": "acme/tiny", "revision": "0" * 40, "node_selector": {}, "gpus_per_replica": 1}
[VOLUME] = [one for one in volumes.objects([MODEL], "10.0.0.1", "/srv/models", ["ro"], "busybox") if one["kind"] == "PersistentVolume"]
BY_HAND = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {}}


def merged(one: Any, other: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(other, dict):
        return other
    both = (one if isinstance(one, dict) else {}) | {key: merged((one or {}).get(key), value) for key, value in other.items()}
    return {key: value for key, value in both.items() if value is not None}


class Cluster:
    """One object; what applying does not declare stays, as a field of others does."""

    def __init__(self, live: dict[str, Any] | None) -> None:
        self.live = live

    def get(self, *_: object, **__: object) -> dict[str, Any] | None:
        return copy.deepcopy(self.live)

    def resource(self, *_: object) -> Cluster:
        return self

    def patch(self, body: dict[str, Any], dry_run: str = "", **_: object) -> None:
        assert self.live
        version = int(self.live["metadata"]["resourceVersion"])
        if int(body.get("metadata", {}).get("resourceVersion", version)) != version:
            raise ApiException(409)
        if not dry_run:
            self.live = merged(merged(self.live, body), {"metadata": {"resourceVersion": str(version + 1)}})

    def server_side_apply(self, body: dict[str, Any], dry_run: str = "", **_: object) -> Any:
        made = merged(self.live or {"metadata": {"resourceVersion": "1"}}, body)
        self.live = self.live if dry_run else made

        class Answer:
            def to_dict(self) -> dict[str, Any]:
                return copy.deepcopy(made)

        return Answer()


def live(phase: str, *managers: dict[str, Any]) -> dict[str, Any]:
    bound = {"spec": {"claimRef": {"uid": "of-a-claim", "resourceVersion": "7"}}, "status": {"phase": phase}}
    return merged(VOLUME, {**bound, "metadata": {"resourceVersion": "9", "managedFields": list(managers)}})


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    ("before", "changes", "uid"),
    [
        (live("Released"), True, None),
        (live("Released", BY_HAND), True, None),
        (live("Bound"), False, "of-a-claim"),
        (None, True, None),
    ],
    ids=["its claim is gone", "and it was altered", "bound", "not there"],
)
def test_a_volume_whose_claim_is_gone_takes_the_next(before: dict[str, Any] | None, changes: bool, uid: str | None, dry: bool) -> None:
    cluster: Any = Cluster(copy.deepcopy(before))
    applier = Applier(cluster, dry)
    applier.apply(VOLUME)
    assert applier.names == ([f"PersistentVolume/{VOLUME['metadata']['name']}"] if changes else [])
    if dry:
        assert cluster.live == before
    else:
        assert cluster.live["spec"]["claimRef"] == VOLUME["spec"]["claimRef"] | ({"uid": uid, "resourceVersion": "7"} if uid else {})
    if changes and not dry:  # a further run finds nothing to do, also before the cluster has seen to the volume
        again = Applier(cluster, dry)
        again.apply(VOLUME)
        assert again.names == []

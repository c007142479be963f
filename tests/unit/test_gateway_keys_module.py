"""Keys are kept whoever else writes them, and a replica that cannot be told of them is named."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, gateway_keys, gateway_replicas
from ansible_collections.rackstart.cluster.plugins.modules import gateway_keys as module
from kubernetes.client.exceptions import ApiException

OLD, OTHERS, NEW = (gateway_keys.Key(digit * 64, name) for digit, name in (("a", "old"), ("b", "others"), ("c", "new")))


class Cluster:
    """The Secret, into which somebody else writes OTHERS just before the first `races` writes; `ready` of two replicas are."""

    def __init__(self, keys: list[gateway_keys.Key] | None, races: int = 0, ready: int = 2) -> None:
        self.keys, self.races, self.ready = keys, races, ready
        self.version = 1

    def get(self, *_: object) -> dict[str, Any] | None:
        return None if self.keys is None else {"metadata": {"resourceVersion": str(self.version)}}

    def secret(self, *_: object) -> dict[str, str]:
        return {"keys.map": gateway_keys.text(self.keys or [])}

    def resource(self, *_: object) -> Cluster:
        return self

    def list(self, *_: object) -> list[dict[str, Any]]:
        status = [{"type": "Ready", "status": str(number < self.ready)} for number in range(2)]
        return [{"metadata": {"name": f"gateway-{number}"}, "status": {"conditions": [ready]}} for number, ready in enumerate(status)]

    def create(self, body: dict[str, Any], namespace: str) -> None:
        self.replace(body, namespace)

    def replace(self, body: dict[str, Any], namespace: str) -> None:
        if self.races:
            self.races, self.version = self.races - 1, self.version + 1
            self.keys = [*(self.keys or []), OTHERS] if OTHERS not in (self.keys or []) else self.keys
        if self.keys is not None and body["metadata"].get("resourceVersion") != str(self.version):
            raise ApiException(409)
        self.keys = gateway_keys.read(base64.b64decode(body["data"]["keys.map"]).decode())


def stored(cluster: Any, dry: bool = False) -> tuple[list[gateway_keys.Key], bool]:
    return module.store(cluster, lambda keys: gateway_keys.added(keys, NEW, 0), dry)


@pytest.mark.parametrize(("before", "races", "after"), [(None, 0, [NEW]), ([OLD], 0, [OLD, NEW]), ([OLD], 2, [OLD, OTHERS, NEW])])
def test_what_others_write_meanwhile_is_kept(before: list[gateway_keys.Key] | None, races: int, after: list[gateway_keys.Key]) -> None:
    cluster = Cluster(before, races)
    assert stored(cluster) == (after, True)
    assert cluster.keys == after


def test_somebody_who_never_stops_writing_is_told() -> None:
    with pytest.raises(api.ClusterError, match="run again"):
        stored(Cluster([OLD], races=99))


def test_a_dry_run_keeps_nothing() -> None:
    cluster = Cluster([OLD])
    assert stored(cluster, dry=True) == ([OLD, NEW], True)
    assert cluster.keys == [OLD]


def test_nothing_new_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([OLD])
    monkeypatch.setattr(cluster, "replace", None)
    assert module.store(cluster, lambda keys: keys, False) == ([OLD], False)


def test_a_replica_that_is_not_ready_is_named_to_who_ends_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_replicas, "told", lambda *_: True)
    one_short: Any = Cluster([OLD], ready=1)
    assert module.tell(one_short, [OLD], 0) == (["gateway-0"], True)
    with pytest.raises(api.TimeoutReached, match=r"gateway-1 is not ready.*delete pod"):
        module.tell(one_short, [OLD], 1)
    assert module.tell(Cluster([OLD]), [OLD], 1) == (["gateway-0", "gateway-1"], True)  # type: ignore[arg-type]

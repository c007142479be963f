"""A release of the GPU Operator that an earlier run has left failed is tried again, and no other is touched."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import operator
from ansible_collections.rackstart.cluster.plugins.modules.gpu_operator import Operator

Object = dict[str, Any]
FAILED = {
    "metadata": {"name": "helm-install"},
    "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
}
ACTIVE: Object = {"metadata": {"name": "helm-install"}, "status": {"active": 1}}


def release(version: int, status: str) -> Object:
    return {"metadata": {"name": f"release.v{version}", "labels": {"version": str(version), "status": status}}}


class Cluster:
    """One that has some releases and perhaps a job, and remembers what was deleted."""

    def __init__(self, releases: list[Object], job: Object | None) -> None:
        self.releases, self.job, self.kind, self.deleted = releases, job, "", []  # type: ignore[var-annotated]

    def list(self, api_version: str, kind: str, namespace: str, selector: str) -> list[Object]:
        return self.releases

    def get(self, api_version: str, kind: str, name: str, namespace: str) -> Object | None:
        return {"status": {"jobName": "helm-install"}} if kind == "HelmChart" else self.job

    def resource(self, api_version: str, kind: str) -> "Cluster":
        self.kind = kind
        return self

    def delete(self, name: str, namespace: str, body: Object | None = None) -> None:
        self.deleted.append((self.kind, namespace, name))


JOB = ("Job", "kube-system", "helm-install")


@pytest.mark.parametrize(
    ("releases", "job", "removed"),
    [
        ([], None, []),
        ([], ACTIVE, []),
        ([], FAILED, [JOB]),  # no attempt got as far as a release
        ([release(1, "deployed")], None, []),
        ([release(9, "superseded"), release(10, "deployed")], ACTIVE, []),
        ([release(9, "deployed"), release(10, "failed")], FAILED, [("Secret", operator.NAMESPACE, "release.v10"), JOB]),
        ([release(1, "failed")], ACTIVE, [("Secret", operator.NAMESPACE, "release.v1")]),  # the job of another chart, or between attempts
        ([release(9, "deployed"), release(10, "pending-upgrade")], ACTIVE, []),  # at work
        ([release(1, "pending-install")], FAILED, [("Secret", operator.NAMESPACE, "release.v1"), JOB]),  # ended in the middle
    ],
)
def test_what_stands_in_the_way_of_another_attempt_is_removed(releases: list[Object], job: Object | None, removed: list[Any]) -> None:
    cluster = Cluster(releases, job)
    assert Operator(cluster, "v1", {}, {}).take_up() == bool(removed)  # type: ignore[arg-type]
    assert cluster.deleted == removed

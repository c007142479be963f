"""Artifacts: what the lookup hands to roles, and what it refuses."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts

DECLARED = {
    "files": {"k3s": {"version": "v1", "url": "https://example.org/a%2Bb/k3s", "checksums": "https://example.org/sums"}},
    "charts": {"operator": {"version": "v2", "url": "https://example.org/op.tgz?x=1"}},
    "images": {"engine": {"reference": "docker.io/acme/engine:v3"}},
    "repositories": {"driver": {"url": "https://example.org/debian/", "key": "https://example.org/debian/key.pub"}},
    "hubs": {"hub": {"url": "https://hub.example.org"}},
}
LOCK = {
    "files": {"k3s": {"version": "v1", "url": "https://example.org/a%2Bb/k3s", "sha256": "aa"}},
    "charts": {"operator": {"version": "v2", "url": "https://example.org/op.tgz?x=1", "sha256": "bb"}},
    "images": {"engine": {"reference": "docker.io/acme/engine:v3", "digest": "sha256:cc"}},
    "repositories": {"driver": {"key": "https://example.org/debian/key.pub", "sha256": "dd", "fingerprint": "EE"}},
}


@pytest.mark.parametrize(
    ("url", "mirror", "expected"),
    [
        ("https://example.org/a/b", "", "https://example.org/a/b"),
        ("https://example.org/a%2Bb", "http://10.0.0.2", "http://10.0.0.2/example.org/a%2Bb"),
        ("https://example.org:8443/a?x=1", "http://mirror/root/", "http://mirror/root/example.org:8443/a?x=1"),
        ("https://example.org", "http://mirror", "http://mirror/example.org"),
        ("https://example.org/debian/", "http://mirror", "http://mirror/example.org/debian/"),
    ],
)
def test_a_mirror_keeps_host_and_path(url: str, mirror: str, expected: str) -> None:
    assert artifacts.mirrored(url, mirror) == expected


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (
            "files",
            "k3s",
            {"version": "v1", "url": "http://m/example.org/a%2Bb/k3s", "upstream": "https://example.org/a%2Bb/k3s", "sha256": "aa"},
        ),
        (
            "charts",
            "operator",
            {"version": "v2", "url": "http://m/example.org/op.tgz?x=1", "upstream": "https://example.org/op.tgz?x=1", "sha256": "bb"},
        ),
        (
            "images",
            "engine",
            {"reference": "docker.io/acme/engine:v3", "digest": "sha256:cc", "pinned": "docker.io/acme/engine:v3@sha256:cc"},
        ),
        (
            "repositories",
            "driver",
            {
                "url": "http://m/example.org/debian/",
                "key_url": "http://m/example.org/debian/key.pub",
                "key_sha256": "dd",
            },
        ),
        ("hubs", "hub", {"url": "http://m/hub.example.org"}),
    ],
)
def test_what_a_role_gets(kind: str, name: str, expected: dict[str, str]) -> None:
    assert artifacts.resolve(DECLARED, LOCK, kind, name, "http://m") == expected


def test_what_a_role_gets_of_several_together() -> None:
    first, second = ({"url": f"https://example.org/{name}/", "key": "https://example.org/key"} for name in ("a", "b"))
    declared = {"repositories": {"driver_a": first, "driver_b": second, "other": first}}
    lock = {"repositories": {name: {"key": first["key"], "sha256": "dd", "fingerprint": "EE"} for name in declared["repositories"]}}
    found = artifacts.resolve_all(declared, lock, "repositories", "driver_", "http://m")
    assert {name: entry["url"] for name, entry in found.items()} == {"a": "http://m/example.org/a/", "b": "http://m/example.org/b/"}
    with pytest.raises(artifacts.ArtifactError, match="driver_b is not locked"):
        artifacts.resolve_all(declared, {"repositories": {"driver_a": lock["repositories"]["driver_a"]}}, "repositories", "driver_")


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"),
    [
        ("toys", "k3s", {}, "unknown kind 'toys'"),
        ("files", "helm", {}, "files.helm is not declared in artifacts.yml"),
        ("files", "k3s", {"files": None}, "files.k3s is not locked"),
        ("images", "engine", {"images": {"engine": {"reference": "docker.io/acme/engine:v3"}}}, "images.engine is not locked"),
        (
            "images",
            "engine",
            {"images": {"engine": {"reference": "docker.io/acme/engine:v2", "digest": "sha256:cc"}}},
            "locked with reference",
        ),
        (
            "files",
            "k3s",
            {"files": {"k3s": {"version": "v0", "url": "https://example.org/a%2Bb/k3s", "sha256": "aa"}}},
            "locked with version 'v0'",
        ),
        (
            "repositories",
            "driver",
            {"repositories": {"driver": {"key": "https://example.org/debian/key.pub", "sha256": "dd"}}},
            "not locked",
        ),
    ],
)
def test_what_is_refused(kind: str, name: str, change: dict, message: str) -> None:
    lock = copy.deepcopy(LOCK) | change
    with pytest.raises(artifacts.ArtifactError, match=message):
        artifacts.resolve(DECLARED, lock, kind, name)


def test_every_artifact_that_cannot_be_used_is_listed() -> None:
    assert artifacts.problems(DECLARED, LOCK) == []
    assert artifacts.problems(DECLARED, {}) == [
        "files.k3s is not locked",
        "charts.operator is not locked",
        "images.engine is not locked",
        "repositories.driver is not locked",
    ]

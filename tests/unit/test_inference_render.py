"""What is rendered for weights and engines: names, budgets, strategies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import inference, operator, pods, volumes, workloads

MODEL: dict[str, Any] = {
    "name": "tiny",
    "repo": "acme/tiny",
    "revision": "0" * 40,
    "engine": "vllm",
    "served_name": "tiny",
    "replicas": 2,
    "gpus_per_replica": 1,
    "node_selector": {"pool": "a"},
    "context_length": 256,
    "dtype": "bfloat16",
    "startup_seconds": 300,
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "6Gi"}},
    "golden_prompts": [],
}
SETTINGS: inference.Settings = {
    "images": {"vllm": "docker.io/acme/engine:v1@sha256:aa"},
    "claims": {"tiny": "weights-tiny-1"},
    "read_only_root": True,
    "gpu_memory_utilization": 0.9,
    "shm_size": "4Gi",
    "key": "0123456789abcdef",
}


def spec(**changes: Any) -> dict[str, Any]:
    return inference.deployment(MODEL | changes, SETTINGS)["spec"]


@pytest.mark.parametrize("changes", [{"server": "10.0.0.2"}, {"export": "/other"}, {"revision": "1" * 40}, {"repo": "acme/other"}])
def test_another_server_path_or_revision_is_another_volume(changes: dict[str, str]) -> None:
    where = {"server": "10.0.0.1", "export": "/srv/models"} | {key: value for key, value in changes.items() if key in ("server", "export")}
    model = MODEL | {key: value for key, value in changes.items() if key not in where}
    assert volumes.claim(model, **where) != volumes.claim(MODEL, "10.0.0.1", "/srv/models")
    assert volumes.claim(MODEL, "10.0.0.1", "/srv/models/") == volumes.claim(MODEL, "10.0.0.1", "/srv/models")


@pytest.mark.parametrize("replicas", [1, 2, 8])
def test_an_update_never_needs_a_gpu_more_than_there_are(replicas: int) -> None:
    assert spec(replicas=replicas)["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_what_wants_more_gpus_of_one_host_comes_before_what_spreads() -> None:
    models = [MODEL | {"name": name, "gpus_per_replica": gpus} for name, gpus in (("a", 1), ("b", 8), ("c", 1), ("d", 2))]
    found = inference.deployments(models, SETTINGS | {"claims": dict.fromkeys("abcd", "weights")})
    assert [one["metadata"]["name"] for one in found] == ["b", "d", "a", "c"]


def test_what_hangs_is_ended_without_a_drain() -> None:
    found = spec()["template"]["spec"]
    [engine] = found["containers"]
    for probe in ("startupProbe", "livenessProbe"):
        assert engine[probe]["terminationGracePeriodSeconds"] < found["terminationGracePeriodSeconds"] / 10


def test_the_attempt_of_a_start_has_time_for_every_answer() -> None:
    prompts = [{"prompt": "a", "expect": "b"}, {"prompt": "c", "expect": "d", "max_tokens": 1000}]
    [engine] = spec(golden_prompts=prompts)["template"]["spec"]["containers"]
    assert engine["startupProbe"]["timeoutSeconds"] == 2 * 300 / 20 + 2 * (60 + 12) + 2 * (60 + 100)


@pytest.mark.parametrize("seconds", [1, 60, 301, 3600])
def test_budgets_follow_from_the_declared_start(seconds: int) -> None:
    found = spec(startup_seconds=seconds)
    engine = found["template"]["spec"]["containers"][0]
    probe, grace = engine["startupProbe"], found["template"]["spec"]["terminationGracePeriodSeconds"]
    wait = json.loads(probe["exec"]["command"][3])[1]  # of each attempt, before it fails
    assert 2 * seconds <= wait * probe["failureThreshold"] < 2 * seconds + 20
    assert probe["periodSeconds"] == 5
    assert found["progressDeadlineSeconds"] > 2 * seconds + 20 + grace
    assert probe["failureThreshold"] <= 20  # a kubelet's event of a wrong answer, after them, is one of the 25 that it tells at once
    drain = next(int(text.partition("=")[2]) for text in engine["args"] if text.startswith("--shutdown-timeout"))
    assert grace >= engine["lifecycle"]["preStop"]["sleep"]["seconds"] + drain + 15
    assert engine["livenessProbe"]["periodSeconds"] * engine["livenessProbe"]["failureThreshold"] > 15
    assert inference.total_budget([MODEL | {"startup_seconds": seconds}]) >= 2 * found["progressDeadlineSeconds"]
    assert inference.total_budget([MODEL | {"startup_seconds": seconds, "replicas": 0}]) >= found["progressDeadlineSeconds"]


def test_the_models_own_words_come_last() -> None:
    engine = spec(extra_args=["--max-num-seqs=8"], env={"HF_HUB_OFFLINE": "0"})["template"]["spec"]["containers"][0]
    assert engine["args"][0] == "/model"
    assert engine["args"][-1] == "--max-num-seqs=8"
    assert {"name": "HF_HUB_OFFLINE", "value": "0"} in engine["env"]


def test_replicas_have_addresses_of_their_own_and_no_port_of_the_nodes() -> None:
    found = inference.service(MODEL)["spec"]
    assert (found["type"], found["clusterIP"]) == ("ClusterIP", "None")
    assert "nodePort" not in found["ports"][0]


def test_another_key_makes_new_replicas_and_stands_in_no_manifest() -> None:
    old, new = (inference.deployment(MODEL, SETTINGS | {"key": pods.mark(key)})["spec"]["template"] for key in ("secret-1", "secret-2"))
    assert old["metadata"]["annotations"] != new["metadata"]["annotations"]
    assert "secret-1" not in str(old)
    assert {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "engine-key", "key": "key"}}} in old["spec"]["containers"][0][
        "env"
    ]


DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "tiny", "generation": 2}, "spec": {"replicas": 2}}
DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
SET = {"kind": "DaemonSet", "metadata": {"name": "w", "generation": 1}}


@pytest.mark.parametrize(
    ("workload", "status", "done"),
    [
        (DEPLOYMENT, DONE, True),
        (DEPLOYMENT, DONE | {"observedGeneration": 1}, False),
        (DEPLOYMENT, DONE | {"replicas": 3}, False),
        (DEPLOYMENT, DONE | {"updatedReplicas": 1}, False),
        (DEPLOYMENT, DONE | {"availableReplicas": 1}, False),
        (DEPLOYMENT, {}, False),
        (SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}, True),
        (SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2}, False),
        (SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}, False),
        (SET, {}, False),
    ],
)
def test_rolled_out(workload: dict[str, Any], status: dict[str, Any], done: bool) -> None:
    assert workloads.rolled_out(workload | {"status": status}) is done


def release(**changes: Any) -> dict[str, Any]:
    return {
        "version": 3,
        "info": {"status": "deployed"},
        "chart": {"metadata": {"version": "v26.7.0"}},
        "config": {"a": {"b": 1}},
    } | changes


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (release(), ""),
        (release(config={"a": {"b": 1, "c": 2}, "overlay": True}), ""),
        ({}, "Helm has not installed it yet"),
        (release(config={"a": {"b": 2}}), "Helm's release 3 still has other values"),
        (release(config=None), "Helm's release 3 still has other values"),
        (release(chart={"metadata": {"version": "v26.6.0"}}), "Helm's release 3 is of chart v26.6.0, not v26.7.0"),
        (release(info={"status": "failed", "description": "boom"}), "Helm's release 3 is failed: boom"),
    ],
)
def test_the_deployed_release_is_the_declared_one(found: dict[str, Any], problem: str) -> None:
    assert operator.release_problem(found, "v26.7.0", {"a": {"b": 1}}) == problem


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"status": {"state": "ready"}}, ""),
        (None, "there is no ClusterPolicy cluster-policy"),
        ({}, "ClusterPolicy cluster-policy is without a state"),
        (
            {
                "status": {
                    "state": "notReady",
                    "conditions": [{"type": "Ready", "status": "False", "reason": "OperandNotReady", "message": "x"}],
                }
            },
            "ClusterPolicy cluster-policy is notReady (OperandNotReady: x)",
        ),
    ],
)
def test_why_the_operator_is_not_ready(policy: dict[str, Any] | None, problem: str) -> None:
    assert operator.policy_problem(policy) == problem


def test_engines_are_reached_from_their_own_namespace_alone_and_reach_dns_alone() -> None:
    """A peer without a namespaceSelector is one of the policy's own; a rule without peers lets anybody in, or out."""
    meta = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "inference"}}, "policyTypes": ["Ingress", "Egress"]}
    peers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": component}}} for component in ("gateway", "monitoring")]
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    assert inference.network_policy()["metadata"]["namespace"] == "llm"
    assert inference.network_policy()["spec"] == meta | {
        "ingress": [{"from": peers, "ports": [{"protocol": "TCP", "port": 8000}]}],
        "egress": [{"to": [dns], "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}],
    }

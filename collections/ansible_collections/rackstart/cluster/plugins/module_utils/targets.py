"""Whether Prometheus reads what it shall, by its own answers. Pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import prometheus_objects

Object = dict[str, t.Any]

TARGETS, RULES = "/api/v1/targets?state=active", "/api/v1/rules"


UP, UNREAD, NONE = "up", "not read yet", "is no target"
OLD = f"what is loaded is not what ConfigMap {prometheus_objects.NAME} has; where it could not be loaded, its log says why"
# By which a target says what it is of.
NAMES = ("__meta_kubernetes_pod_name", "__meta_kubernetes_node_name")


def _state(target: Object) -> str:
    if target["health"] == UP:
        return UP
    if not target["lastError"]:
        return f"{target['scrapeUrl']}: {UNREAD}"
    return f"{target['scrapeUrl']}: {target['lastError']} (at {target['lastScrape']})"


def states(answer: Object, expected: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Of each job, pod or node by name to `up`, or to why it is not. What is not expected is on its way out, and nobody's concern."""
    found = {job: dict.fromkeys(names, NONE) for job, names in expected.items()}
    for target in answer["data"]["activeTargets"]:
        job = found.get(target["scrapePool"], {})
        name = next((target["discoveredLabels"][label] for label in NAMES if label in target["discoveredLabels"]), "")
        if name in job:
            job[name] = _state(target)
    return found


def pending(first: dict[str, dict[str, str]], found: dict[str, dict[str, str]]) -> bool:
    """Prometheus has yet to find or to read a target, or has not read one again that was down in the first answer.

    What it read before it was asked may be of an engine that was still starting.
    """
    states = [(first.get(job, {}).get(name), state) for job, names in found.items() for name, state in names.items()]
    return any(state == NONE or state.endswith(UNREAD) or (state == before != UP) for before, state in states)


def target_problems(found: dict[str, dict[str, str]]) -> list[str]:
    """What is not up."""
    return [f"{job}, {name}: {state}" for job, names in found.items() for name, state in names.items() if state != UP]


def rule_problems(answer: Object, files: t.Mapping[str, str]) -> list[str]:
    """Rules that cannot be evaluated, and files that were not loaded, or not as they are. files: text by name, of the ConfigMap."""
    groups = answer["data"]["groups"]
    missing = files.keys() - {prometheus_objects.CONFIG} - {group["file"].rpartition("/")[2] for group in groups}
    rules = [rule for group in groups for rule in group["rules"]]
    marks = [rule.get("labels", {}).get("mark") for rule in rules if rule["name"] == prometheus_objects.MARK]
    old = [] if marks == [prometheus_objects.mark(files)] else [OLD]
    broken = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"]
    return [f"{name} is not loaded" for name in sorted(missing)] + old + broken

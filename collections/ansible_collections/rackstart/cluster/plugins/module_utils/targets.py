"""Whether Prometheus reads what it shall, by its own answers. Pure functions."""

from __future__ import annotations

import collections
import typing as t

Object = dict[str, t.Any]

TARGETS, RULES = "/api/v1/targets?state=active", "/api/v1/rules"


def target_problems(answer: Object, expected: dict[str, int]) -> list[str]:
    """Targets that are not up, and jobs that have fewer than expected."""
    targets = answer["data"]["activeTargets"]
    up = collections.Counter(target["scrapePool"] for target in targets if target["health"] == "up")
    few = [f"{job}: {up[job]} of {count} targets are up" for job, count in expected.items() if up[job] < count]
    down = [
        f"{target['scrapePool']} at {target['scrapeUrl']}: {target['lastError'] or 'not read yet'}"
        for target in targets
        if target["health"] != "up"
    ]
    return few + down


def rule_problems(answer: Object, files: t.Collection[str]) -> list[str]:
    """Rules that cannot be evaluated, and files that were not loaded."""
    groups = answer["data"]["groups"]
    missing = set(files) - {group["file"].rpartition("/")[2] for group in groups}
    broken = [f"{rule['name']}: {rule['lastError']}" for group in groups for rule in group["rules"] if rule["health"] == "err"]
    return [f"{name} is not loaded" for name in sorted(missing)] + broken

"""How many replicas of a model still find their GPUs, wherever the scheduler has put those of other models. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple


class Group(NamedTuple):
    """The replicas of a model, GPUs of each, and the hosts that they may run on."""

    replicas: int
    wide: int
    hosts: Collection[str]


def left(model: Group, others: Iterable[Group], gpus: dict[str, int]) -> int:
    """Places when the others stand where they cost the model the most. gpus: of each host.

    The replicas of one model are spread over its hosts (topologySpreadConstraints of inference.py), and none moves to make room.
    """
    free = dict(gpus)
    for other in sorted(others, key=lambda other: -other.wide):
        placed: Counter[str] = Counter()
        for _ in range(other.replicas):
            # Hosts with the fewest of its own first; of those the one that loses a place, or is nearest to losing one.
            ranked = [
                (placed[host], *(_cost(free[host], other.wide, model.wide) if host in model.hosts else (0, model.wide)), host)
                for host in other.hosts
                if free[host] >= other.wide
            ]
            if not ranked:
                break
            host = min(ranked)[-1]
            placed[host] += 1
            free[host] -= other.wide
    return sum(free[host] // model.wide for host in model.hosts)


def _cost(free: int, taken: int, wide: int) -> tuple[int, int]:
    """Places that a host has more afterwards (none, or below 0), and the GPUs that are then left beside whole places."""
    return (free - taken) // wide - free // wide, (free - taken) % wide

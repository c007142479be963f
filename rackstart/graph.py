"""Which stage waits for which."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from rackstart.errors import ConfigurationError
from rackstart.stages import Stage


def needs(stages: Sequence[Stage]) -> dict[str, set[str]]:
    """For each stage all that it needs, directly or through others. Raises ConfigurationError for a circle or an unknown name."""
    direct = {stage.name: set(stage.after) for stage in stages}
    unknown = {name for names in direct.values() for name in names} - set(direct)
    if unknown:
        raise ConfigurationError(f"stage table: 'after' names no stage: {', '.join(sorted(unknown))}")
    closed: dict[str, set[str]] = {}
    try:
        for name in TopologicalSorter(direct).static_order():
            closed[name] = direct[name].union(*(closed[other] for other in direct[name]))
    except CycleError as error:
        raise ConfigurationError(f"stage table: these wait for one another: {' -> '.join(error.args[1])}") from None
    return closed


def order(stages: Sequence[Stage], chosen: Sequence[str], hosts: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """For each chosen stage the chosen ones that must have ended before it starts.

    Those are the stages it needs and, since two stages never work on one host at once, the ones earlier in the table that share a host.
    `hosts` gives each stage's hosts of the inventory; stages that run on the controller have none.
    """
    needed = needs(stages)
    names = [stage.name for stage in stages if stage.name in chosen]
    return {
        name: {other for other in names if other in needed[name]}
        | {other for other in names[:place] if set(hosts.get(other, ())) & set(hosts.get(name, ()))}
        for place, name in enumerate(names)
    }

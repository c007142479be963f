"""docs/serving_seen.md, from what a run of `make test-serving` has seen alone."""

from dataclasses import dataclass

PAGE = """\
# Serving, as seen

Written by `make test-serving` when all of it was as it should be. A step is a section of [serving.md](serving.md), whose every command was
run, or a test of what takes long beside it. Seconds are those of a machine with 2 cores that the lab's hosts and four streaming clients
share: the order and the counts are the point. Every request of the clients was answered right and to its end, but for those that a model's
only replica was away for, which were told when to come again.

| step | commands | requests meanwhile | seconds |
| --- | ---: | ---: | ---: |
{rows}
"""


@dataclass(frozen=True)
class Step:
    """What a test of serving came to. commands, requests: none where it has none."""

    name: str
    commands: int | None
    requests: int | None
    seconds: float


def page(steps: list[Step]) -> str:
    """The steps as Markdown."""
    rows = (f"| {step.name} | {step.commands or ''} | {step.requests or ''} | {step.seconds:.0f} |" for step in steps)
    return PAGE.format(rows="\n".join(rows))

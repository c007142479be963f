"""What a check of preflight is."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """subject: what is looked at, in Markdown; expected: what it must be; remedy: what to do when it is not; both with values of the
    case in braces. Advice does not stop a run."""

    subject: str
    expected: str
    remedy: str
    severity: str = "required"


def advice(subject: str, expected: str, remedy: str) -> Check:
    return Check(subject, expected, remedy, "advice")

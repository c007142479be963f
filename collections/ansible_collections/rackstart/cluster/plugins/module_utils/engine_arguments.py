"""The further arguments of an engine: what they say, and what its parser would refuse of them. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

FORMS = {"int": r"-?\d+", "float": r"-?\d*\.?\d+(e-?\d+)?", "size": r"-?\d+(\.\d+)?[kKmMgGtT]?i?"}
WORDS = {"int": "a whole number", "float": "a number", "size": "a number, with k, M or G"}
MORE_GPUS = ("--pipeline-parallel-size", "--data-parallel-size", "--nnodes")
ADAPTERS = "--lora-modules"
POOLING = {"--runner": ("pooling",), "--convert": ("embed", "classify")}  # what vLLM then has no route of chats for
Table = list[dict[str, Any]]


def values(arguments: Iterable[Any] | None) -> dict[str, str]:
    """Value by flag, in either of its forms (--flag=value; --flag, value), "" for a flag alone. Underscores are hyphens, as for vLLM."""
    found: dict[str, str] = {}
    flag = ""
    for argument in map(str, arguments or []):
        if re.match(r"--?[A-Za-z]", argument):
            name, _, value = argument.partition("=")
            flag = name.replace("_", "-")
            found[flag] = value
        elif flag and not found[flag]:
            found[flag] = argument
    return found


def named(arguments: Iterable[Any] | None, table: Table) -> dict[str, str]:
    """The same by the first name of each flag, whichever of its names was written; what turns one off keeps its own."""
    first = {flag: entry["flags"][0] for entry in table for flag in entry["flags"] if not flag.startswith("--no-")}
    return {first.get(flag, flag): value for flag, value in values(arguments).items()}


def problems(arguments: Iterable[Any] | None, own: Iterable[str], table: Table) -> list[str]:
    """own: flags that are set from a model's other fields, which must not be given twice."""
    known = {flag: entry for entry in table for flag in entry["flags"]}
    taken = {flag for name in own for flag in known.get(name, {"flags": []})["flags"]}
    return [problem for flag, value in values(arguments).items() for problem in _problem(flag, value, taken, known)]


def _problem(flag: str, value: str, own: set[str], known: dict[str, dict[str, Any]]) -> Iterator[str]:
    name = flag.split(".")[0]  # --group.field
    word, space, rest = flag.partition(" ")
    if space:
        yield f"{flag!r} is one argument: write {word}={rest}"
    elif name in own:
        yield f"{flag} is set from the model's own fields"
    elif name == ADAPTERS:
        yield f"{flag} serves adapters by names of their own, and the gateway leads to served_name alone: declare merged weights as a model"
    elif name not in known and not re.fullmatch(r"-O\d", name):
        near = difflib.get_close_matches(name, known, 1)
        yield f"{flag} is unknown{', did you mean ' + near[0] + '?' if near else ''}"
    elif set(known.get(name, {"flags": []})["flags"]) & set(MORE_GPUS) and value not in ("", "1"):
        yield f"{flag} wants GPUs beyond those of a replica: set gpus_per_replica alone"
    elif value in POOLING.get(name, ()):
        yield f"{flag}={value} makes it an embedding or classifying model, which Rackstart does not serve yet: declare one that chats"
    elif name == flag and name in known:
        yield from _value(flag, value, known[name])


def _value(flag: str, value: str, entry: dict[str, Any]) -> Iterator[str]:
    kind, choices = entry["type"], entry["choices"]
    if not entry["takes_value"]:
        if value:
            opposite = next((other for other in entry["flags"] if other != flag and other.startswith("--no-")), "")
            yield f"{flag} takes no value{': write ' + opposite + ' to turn it off' if opposite else ''}"
    elif value and choices and value not in choices:
        yield f"{flag} takes one of {', '.join(choices)}"
    elif value and not choices and kind in FORMS and not re.fullmatch(FORMS[kind], value):
        yield f"{flag} takes {WORDS[kind]}"

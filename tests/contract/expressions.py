"""Which series, labels and values an expression of PromQL names."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|[\d.]+\w*|=~|!~|!=|\S')
NAME = re.compile(r"[a-zA-Z_:][\w:]*")
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = GROUPING | {"and", "or", "unless", "bool", "offset"}


@dataclass
class Expression:
    """series: label -> values that each series is asked for, an alternative of a regular expression being one; groups: labels by name."""

    series: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


def _until(tokens: list[str], place: int, end: str) -> list[str]:
    return tokens[place : tokens.index(end, place)]


def parse(text: str) -> Expression:
    found, tokens = Expression(), [*TOKEN.findall(text), ""]
    inside = ""  # what closes the list of names that we are in
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if token else ""
        if inside:
            inside = "" if token == inside else inside
        elif token in GROUPING and after == "(":
            found.groups |= {name for name in _until(tokens, place + 2, ")") if name != ","}
            inside = ")"
        elif token == "{":
            inside = "}"
        elif NAME.fullmatch(token) and token not in WORDS and after != "(" and after not in GROUPING:
            labels = found.series.setdefault(token, {})
            part = _until(tokens, place + 2, "}") if after == "{" else []
            for name, operator, value in zip(part[0::4], part[1::4], part[2::4], strict=False):
                labels.setdefault(name, set()).update(value.strip('"').split("|") if operator in ("=", "=~") else [])
    return found

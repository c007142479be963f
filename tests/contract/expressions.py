"""The expressions of rules and dashboards, and which series, labels and values one names."""

import json
import re
from dataclasses import dataclass, field

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import monitoring

from rackstart.paths import ROOT

RULES = sorted(ROOT.glob("roles/monitoring/files/rules/*.yml"))
DASHBOARDS = sorted(ROOT.glob("roles/monitoring/files/dashboards/*.json"))
MODELS = [{"name": "tiny", "replicas": 2, "engine": "vllm"}, {"name": "other", "replicas": 1, "engine": "ollama"}]
DECLARED = monitoring.declared(MODELS, ["gpu-9"])["groups"][0]["rules"]
RULE_LIST = [(file, rule) for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
RECORDS = {rule["record"]: rule for rule in [*(rule for _, rule in RULE_LIST), *DECLARED] if "record" in rule}
PANELS = {
    f"{file.stem}: {panel['title']} {target['refId']}": target["expr"]
    for file in DASHBOARDS
    for panel in json.loads(file.read_text())["panels"]
    for target in panel["targets"]
}
UP = {f"up: {rule['labels']['model']}": rule["expr"] for rule in DECLARED if rule["record"] == "model:replicas_up"}
EXPRESSIONS = {f"{file.stem}: {rule.get('alert') or rule['record']}": rule["expr"] for file, rule in RULE_LIST} | UP | PANELS

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|[\d.]+\w*|=~|!~|!=|\S')
NAME = re.compile(r"[a-zA-Z_:][\w:]*")
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = GROUPING | {"and", "or", "unless", "bool", "offset"}


@dataclass
class Expression:
    """selectors: series, and label -> values that it is asked for, of a regular expression each alternative; groups: labels by name."""

    selectors: list[tuple[str, dict[str, set[str]]]] = field(default_factory=list)
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
            labels: dict[str, set[str]] = {}
            found.selectors.append((token, labels))
            part = _until(tokens, place + 2, "}") if after == "{" else []
            for name, operator, value in zip(part[0::4], part[1::4], part[2::4], strict=False):
                labels.setdefault(name, set()).update(value.strip('"').split("|") if operator in ("=", "=~") else [])
    return found

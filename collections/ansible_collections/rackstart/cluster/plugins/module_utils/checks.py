"""What must be true before a host is touched: pure functions over the inventory and one look at each host.

judge() is the table of contents. A check is a generator of findings; each finding is one line of preflight's report.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import (
    checks_gpu,
    checks_inventory,
    checks_k3s,
    checks_models,
    checks_network,
    checks_options,
    checks_os,
    checks_sizing,
    checks_start,
    checks_storage,
)
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CHECKS
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, finding, told

THEMES = (
    checks_inventory, checks_os, checks_network, checks_k3s, checks_storage, checks_gpu, checks_models, checks_options, checks_sizing,
    checks_start,
)  # fmt: skip


def judge(look: Look) -> list[Finding]:
    """Every finding: green, red, and those that could not be judged.

    look: hosts {name: {probe or None, reason, address, port (of ssh), groups, gpu_count, gpu_memory_mib, labels, taints}}, addresses
    [of all hosts, in service or not], servers [names, in service or not], models, sizes {model: {store, weights in bytes, access: the
    status of a file, config: its config.json or None} or {error, and status where there is one}}, engine {gpu_memory_utilization,
    shm_size}, quantizations {method: lowest compute capability, times ten}, storage {backend, path, server, export, clients}, networks
    [CIDR], arguments (the engine's flags), unlocked [text], lock_command, doors {server: "" or why it is not heard}, mirror {url,
    error}, artifacts {address: "" or why not}, repositories {name: address}, min_free_mib and gpu_min_free_mib {path: MiB}, k3s_config
    {server, agent: extra keys}, k3s_version, gateway {address, service_type, node_port, certificate, private_key}, certificate (what is
    wrong with the user's, empty for nothing), driver {version, modules}, proxy (whether one is declared), proxy_logins [which of its keys
    hold a user or password], registry_auth_problem (of its form, empty for none), token (whether there is one), waivers
    {id: {reason, until}}, numbers [{host, name, value, low, high}], model_options (a model's argument spec), today (ISO date).
    """
    found = [finding for theme in THEMES for finding in theme.check(look)]
    for entry in found:
        entry["waived"] = _waiver(entry, look) if entry["ok"] is False else ""
    return found + [entry | {"waived": ""} for entry in _waivers(look)]


def refused(findings: list[Finding]) -> list[Finding]:
    """Those that stop a run."""
    return [entry for entry in findings if entry["ok"] is False and entry["severity"] == "required" and not entry["waived"]]


def count(findings: list[Finding]) -> dict[str, int]:
    """How many findings there are of each sort."""
    sorts = {True: "green", None: "unknown", False: "red"}
    found = Counter("waived" if entry["waived"] else sorts[entry["ok"]] for entry in findings)
    return {"green": 0, "red": 0, "waived": 0, "unknown": 0} | found | {"all": len(findings)}


def _waiver(entry: Finding, look: Look) -> str:
    """Why a red finding does not count, until when; empty when it does. One whose waiver has expired says so."""
    waiver = look["waivers"].get(entry["id"])
    if waiver is None or _problem(waiver):
        return ""
    if str(waiver["until"]) < look["today"]:
        entry["seen"] += f" (its waiver expired on {waiver['until']})"
        return ""
    return f"{waiver['reason']} (until {waiver['until']})"


def _problem(waiver: Any) -> str:
    """What is wrong with the form of a waiver."""
    if not isinstance(waiver, dict):
        return f"{waiver!r}, a reason without a date"
    if strange := sorted(waiver.keys() - {"reason", "until"}):
        return f"unknown {told(strange)}"
    if not isinstance(waiver.get("reason"), str) or not waiver["reason"].strip():
        return "no reason"
    try:
        date.fromisoformat(str(waiver.get("until")))
    except ValueError:
        return f"until: {waiver['until']}, which is no date" if waiver.get("until") else "no date"
    return ""


def _waivers(look: Look) -> Iterator[Finding]:
    waivers = look["waivers"]
    unknown = [f"{id}{_near(id)}" for id in sorted(waivers.keys() - CHECKS.keys())]
    yield finding("waivers.known", "inventory", not unknown, told(unknown, "all are"))
    for id, waiver in waivers.items():
        problem = _problem(waiver)
        yield finding("waivers.form", id, not problem, problem or "both", check=id)
        if not problem:
            yield finding("waivers.current", id, str(waiver["until"]) >= look["today"], waiver["until"], check=id)


def _near(id: str) -> str:
    near = difflib.get_close_matches(id, CHECKS, 1)
    return f" (did you mean {near[0]}?)" if near else ""

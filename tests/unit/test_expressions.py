"""What rules and dashboards ask for, of a Prometheus that others use too."""

from __future__ import annotations

import re

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import scraping

from tests.contract.expressions import EXPRESSIONS, RECORDS, parse

NAMES = {scraping.label(name) for name in scraping.JOBS}


def jobs(series: str) -> set[str]:
    """Of which a series may be: those that keep it, or the checks, of which nothing else is kept."""
    found = {name for name, job in scraping.JOBS.items() if name != "checks" and re.fullmatch(job.keep, series)} or {"checks"}
    # Prometheus' operator has the kubelet's two pages in one job.
    return {scraping.label(name) for name in found} | ({"kubelet"} if "cadvisor" in found else set())


def of_anybody(expression: str) -> list[str]:
    """Series that are asked for of a job of others, or of every job."""
    asked = [(name, labels.get("job", set())) for name, labels in parse(expression).selectors if name not in RECORDS]
    return [name for name, found in asked if not found or (found - NAMES if name == "up" else found != jobs(name))]


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_series_are_asked_for_of_our_jobs_alone(where: str) -> None:
    assert of_anybody(EXPRESSIONS[where]) == [], EXPRESSIONS[where]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('sum(vllm:num_requests_waiting{job="rackstart-inference"}) / vllm:num_requests_waiting', ["vllm:num_requests_waiting"]),
        ('max(haproxy_process_uptime_seconds{job!="rackstart-gateway"})', ["haproxy_process_uptime_seconds"]),
        ('DCGM_FI_DEV_GPU_UTIL{job="dcgm"}', ["DCGM_FI_DEV_GPU_UTIL"]),
        ('rackstart_weights_good{job=~"rackstart-checks|checks"}', ["rackstart_weights_good"]),
        ('up{job=~"apiserver|another"} + up', ["up", "up"]),
        ('model:replicas_up + up{job="apiserver"}', []),
    ],
)
def test_what_others_series_would_enter_is_seen(expression: str, found: list[str]) -> None:
    assert of_anybody(expression) == found

"""Dashboards for Grafana, by tables of their panels."""

import json
from typing import Any

Panel = tuple[str, str, dict[str, str]]  # title, unit, expression by legend
WIDTH, HEIGHT, COLUMNS = 8, 8, 3

FIRST, NEXT = "vllm:time_to_first_token_seconds_bucket", "vllm:inter_token_latency_seconds_bucket"
BY_MODEL = "sum by (model_name)"


def quantile(part: str, series: str) -> str:
    return f"histogram_quantile({part}, sum by (model_name, le) (rate({series}[5m])))"


SERVING: list[Panel] = [
    ("First token", "s", {"{{model_name}} 50 %": quantile("0.5", FIRST), "{{model_name}} 95 %": quantile("0.95", FIRST)}),
    ("Between tokens", "s", {"{{model_name}} 50 %": quantile("0.5", NEXT), "{{model_name}} 95 %": quantile("0.95", NEXT)}),
    (
        "Later than the objective (1 h)",
        "percentunit",
        {
            "{{model_name}} first token": "model_name:first_token_late:ratio_rate1h",
            "{{model_name}} next token": "model_name:next_token_late:ratio_rate1h",
        },
    ),
    (
        "Requests",
        "short",
        {
            "{{model_name}} running": f"{BY_MODEL} (vllm:num_requests_running)",
            "{{model_name}} waiting": f"{BY_MODEL} (vllm:num_requests_waiting)",
        },
    ),
    ("KV cache", "percentunit", {"{{model_name}} {{pod}}": "max by (model_name, pod) (vllm:kv_cache_usage_perc)"}),
    (
        "Tokens a second",
        "short",
        {
            "{{model_name}} generated": f"{BY_MODEL} (rate(vllm:generation_tokens_total[5m]))",
            "{{model_name}} of prompts": f"{BY_MODEL} (rate(vllm:prompt_tokens_total[5m]))",
        },
    ),
    (
        "Prompts found in the cache",
        "percentunit",
        {"{{model_name}}": f"{BY_MODEL} (rate(vllm:prefix_cache_hits_total[5m])) / {BY_MODEL} (rate(vllm:prefix_cache_queries_total[5m]))"},
    ),
    (
        "Turned away and put off, a second",
        "short",
        {
            "{{model_name}} {{reason}}": "sum by (model_name, reason) (rate(vllm:admission_rejections_total[5m]))",
            "{{model_name}} preempted": f"{BY_MODEL} (rate(vllm:num_preemptions_total[5m]))",
        },
    ),
    (
        "Answers a second, by how they ended",
        "short",
        {"{{model_name}} {{finished_reason}}": "sum by (model_name, finished_reason) (rate(vllm:request_success_total[5m]))"},
    ),
    ("Gateway: answers a second", "short", {"{{code}}": 'sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="_api"}[5m]))'}),
    ("Gateway: connections", "short", {"{{pod}}": 'sum by (pod) (haproxy_frontend_current_sessions{proxy="_api"})'}),
    (
        "Replicas",
        "short",
        {"{{model}} up": "model:replicas_up", "{{model}} declared": "model:replicas_declared"},
    ),
]

BY_GPU, BY_NODE, GPU = "max by (Hostname, gpu)", "max by (node)", "{{Hostname}} {{gpu}}"
STORE = '{namespace="llm", persistentvolumeclaim=~"weights-.+"}'
GPUS: list[Panel] = [
    ("GPU: in use", "percent", {GPU: f"{BY_GPU} (DCGM_FI_DEV_GPU_UTIL)"}),
    ("GPU: memory", "percentunit", {GPU: f"{BY_GPU} (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))"}),
    ("GPU: power", "watt", {GPU: f"{BY_GPU} (DCGM_FI_DEV_POWER_USAGE)"}),
    ("GPU: temperature", "celsius", {GPU: f"{BY_GPU} (DCGM_FI_DEV_GPU_TEMP)"}),
    ("GPU: clock", "rotmhz", {GPU: f"{BY_GPU} (DCGM_FI_DEV_SM_CLOCK)"}),
    ("GPU: last Xid", "short", {GPU: f"{BY_GPU} (DCGM_FI_DEV_XID_ERRORS)"}),
    (
        "Nodes: memory",
        "percentunit",
        {"{{node}}": f'{BY_NODE} (container_memory_working_set_bytes{{id="/"}}) / {BY_NODE} (machine_memory_bytes)'},
    ),
    ("Nodes: disk", "percentunit", {"{{node}}": f'{BY_NODE} (container_fs_usage_bytes{{id="/"}} / container_fs_limit_bytes{{id="/"}})'}),
    (
        "Store: free",
        "percentunit",
        {"store": f"min(kubelet_volume_stats_available_bytes{STORE} / kubelet_volume_stats_capacity_bytes{STORE})"},
    ),
    (
        "etcd: 99 % of requests",
        "s",
        {"{{instance}}": "histogram_quantile(0.99, sum by (instance, le) (rate(etcd_request_duration_seconds_bucket[5m])))"},
    ),
    ("etcd: size", "bytes", {"{{instance}}": "max by (instance) (apiserver_storage_size_bytes)"}),
    ("Weights as published", "short", {"{{model}}": "min by (model) (rackstart_weights_good)"}),
]


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    title, unit, series = panel
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (legend, expression) in enumerate(series.items())
        ],
    }


def dashboard(title: str, panels: list[Panel]) -> str:
    """As Grafana imports it; the data source is chosen there."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    board = {
        "uid": f"rackstart-{title.split()[0].lower()}",
        "title": f"Rackstart: {title}",
        "tags": ["rackstart"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(board, indent=1) + "\n"


def serving() -> str:
    return dashboard("Serving", SERVING)


def gpus() -> str:
    return dashboard("GPUs, nodes and store", GPUS)

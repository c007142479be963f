"""Dashboards for Grafana, by tables of their panels."""

import json
from typing import Any

Panel = tuple[str, str, dict[str, str]]  # title, unit, expression by legend
WIDTH, HEIGHT, COLUMNS = 8, 8, 3

# Others' series may be in the same Prometheus.
VLLM, DCGM = '{job="rackstart-inference"}', '{job="nvidia-dcgm-exporter"}'
CADVISOR, APISERVER = 'job=~"cadvisor|kubelet"', '{job="apiserver"}'
API = '{job="rackstart-gateway", proxy="_api"}'
FIRST, NEXT = "vllm:time_to_first_token_seconds_bucket", "vllm:inter_token_latency_seconds_bucket"
BY_MODEL = "sum by (model_name)"


def quantile(part: str, series: str) -> str:
    return f"histogram_quantile({part}, sum by (model_name, le) (rate({series}{VLLM}[5m])))"


def rate(series: str) -> str:
    return f"{BY_MODEL} (rate({series}{VLLM}[5m]))"


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
            "{{model_name}} running": f"{BY_MODEL} (vllm:num_requests_running{VLLM})",
            "{{model_name}} waiting": f"{BY_MODEL} (vllm:num_requests_waiting{VLLM})",
        },
    ),
    ("KV cache", "percentunit", {"{{model_name}} {{pod}}": f"max by (model_name, pod) (vllm:kv_cache_usage_perc{VLLM})"}),
    (
        "Tokens a second",
        "short",
        {
            "{{model_name}} generated": rate("vllm:generation_tokens_total"),
            "{{model_name}} of prompts": rate("vllm:prompt_tokens_total"),
        },
    ),
    (
        "Prompts found in the cache",
        "percentunit",
        {"{{model_name}}": f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}"},
    ),
    (
        "Turned away and put off, a second",
        "short",
        {
            "{{model_name}} {{reason}}": f"sum by (model_name, reason) (rate(vllm:admission_rejections_total{VLLM}[5m]))",
            "{{model_name}} preempted": rate("vllm:num_preemptions_total"),
        },
    ),
    (
        "Answers a second, by how they ended",
        "short",
        {"{{model_name}} {{finished_reason}}": f"sum by (model_name, finished_reason) (rate(vllm:request_success_total{VLLM}[5m]))"},
    ),
    ("Gateway: answers a second", "short", {"{{code}}": f"sum by (code) (rate(haproxy_frontend_http_responses_total{API}[5m]))"}),
    ("Gateway: connections", "short", {"{{pod}}": f"sum by (pod) (haproxy_frontend_current_sessions{API})"}),
    (
        "Replicas",
        "short",
        {"{{model}} ready": "model:replicas_up", "{{model}} declared": "model:replicas_declared"},
    ),
]

BY_GPU, BY_NODE, GPU = "max by (Hostname, gpu)", "max by (node)", "{{Hostname}} {{gpu}}"
WHOLE = f'{{{CADVISOR}, id="/"}}'
DISKS = f'{{{CADVISOR}, id="/", device!~".+:/.*"}}'  # and no NFS
STORE = '{job="kubelet", namespace="llm", persistentvolumeclaim=~"weights-.+"}'
GPUS: list[Panel] = [
    ("GPU: in use", "percent", {GPU: f"{BY_GPU} (DCGM_FI_DEV_GPU_UTIL{DCGM})"}),
    (
        "GPU: memory",
        "percentunit",
        {GPU: f"{BY_GPU} (DCGM_FI_DEV_FB_USED{DCGM} / (DCGM_FI_DEV_FB_USED{DCGM} + DCGM_FI_DEV_FB_FREE{DCGM}))"},
    ),
    ("GPU: power", "watt", {GPU: f"{BY_GPU} (DCGM_FI_DEV_POWER_USAGE{DCGM})"}),
    ("GPU: temperature", "celsius", {GPU: f"{BY_GPU} (DCGM_FI_DEV_GPU_TEMP{DCGM})"}),
    ("GPU: clock", "rotmhz", {GPU: f"{BY_GPU} (DCGM_FI_DEV_SM_CLOCK{DCGM})"}),
    ("GPU: last Xid", "short", {GPU: f"{BY_GPU} (DCGM_FI_DEV_XID_ERRORS{DCGM})"}),
    (
        "Nodes: memory",
        "percentunit",
        {"{{node}}": f"{BY_NODE} (container_memory_working_set_bytes{WHOLE}) / {BY_NODE} (machine_memory_bytes{{{CADVISOR}}})"},
    ),
    ("Nodes: disk", "percentunit", {"{{node}}": f"{BY_NODE} (container_fs_usage_bytes{DISKS} / container_fs_limit_bytes{DISKS})"}),
    (
        "Store: free",
        "percentunit",
        {"store": f"min(kubelet_volume_stats_available_bytes{STORE} / kubelet_volume_stats_capacity_bytes{STORE})"},
    ),
    (
        "etcd: 99 % of requests",
        "s",
        {"{{instance}}": f"histogram_quantile(0.99, sum by (instance, le) (rate(etcd_request_duration_seconds_bucket{APISERVER}[5m])))"},
    ),
    ("etcd: size", "bytes", {"{{instance}}": f"max by (instance) (apiserver_storage_size_bytes{APISERVER})"}),
    ("Weights as published", "short", {"{{model}}": 'min by (model) (rackstart_weights_good{job="rackstart-checks"})'}),
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

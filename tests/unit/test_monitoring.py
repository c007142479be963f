"""What is rendered for Prometheus and its operator, and how its answers are judged."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.rackstart.cluster.plugins.module_utils import (
    gateway_objects,
    inference,
    monitoring,
    prometheus_objects,
    scraping,
    targets,
)

from rackstart.paths import ROOT

SITE = "playbooks/group_vars/all.yml"  # which setting of an inventory feeds which role's variable
RULES = "groups: [{name: one, rules: [{alert: A, expr: vector(1)}]}]"
TINY = {"name": "tiny", "replicas": 2, "engine": "vllm", "gpus_per_replica": 1}
MODELS = [TINY, {"name": "large", "replicas": 0, "engine": "ollama", "gpus_per_replica": 0}]


def settings(**changes: Any) -> monitoring.Settings:
    found: Any = {
        "image": "prometheus@sha256:0", "checks_image": "busybox@sha256:0", "claims": {"tiny": "weights-tiny-0a"}, "script": "true",
        "rules": {"one.yml": RULES}, "dashboards": {"a.json": "{}"}, "storage_class": "", "storage_gib": 20, "retention": "15d",
        "alertmanagers": [], "labels": {}, "operator_namespace": "watch", "nodes_away": [],
    }  # fmt: skip
    return found | changes


def objects(operator: bool = False, models: list[dict[str, Any]] = MODELS, **changes: Any) -> dict[str, Any]:
    rendered = monitoring.objects(models, settings(**changes), operator)
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in rendered}


def pod(name: str, **changes: Any) -> dict[str, Any]:
    return dict(objects(**changes)[f"Deployment/{name}"]["spec"]["template"])


def files(**changes: Any) -> dict[str, str]:
    return dict(objects(**changes)["ConfigMap/prometheus"]["data"])


def test_declared_replicas_are_rules_and_so_is_which_of_them_are_ready() -> None:
    text = files()["declared.yml"]
    rules = yaml.safe_load(text)["groups"][0]["rules"]
    assert [(rule["record"], rule["expr"], rule.get("labels")) for rule in rules] == [
        ("rackstart:models_declared", "vector(2)", None),
        ("model:replicas_declared", "vector(2)", {"model": "tiny"}),
        ("model:replicas_up", 'max(haproxy_backend_active_servers{job="rackstart-gateway", proxy="tiny"})', {"model": "tiny"}),
        ("model:replicas_declared", "vector(0)", {"model": "large"}),
        ("model:replicas_up", 'max(haproxy_backend_active_servers{job="rackstart-gateway", proxy="large"})', {"model": "large"}),
    ]


def test_a_node_out_of_service_is_a_rule() -> None:
    rules = yaml.safe_load(files(nodes_away=["gpu-2"])["declared.yml"])["groups"][0]["rules"]
    assert rules[-1] == {"record": "rackstart:node_away", "expr": "vector(1)", "labels": {"node": "gpu-2"}}
    loader = DataLoader()
    site, role = (loader.load_from_file(str(ROOT / file), trusted_as_template=True) for file in (SITE, "roles/monitoring/vars/main.yml"))
    for lost in ({}, {"rackstart_lost": ["gpu-1"]}):  # those that a run has lost are in both groups, and their alert stays
        groups = {"out_of_service": ["gpu-2", *lost.get("rackstart_lost", [])], **lost}
        values = Templar(loader=loader, variables=site | role | {"groups": groups})
        assert values.template(role["__monitoring_settings"]["nodes_away"]) == ["gpu-2"]


def test_a_pod_of_checks_is_made_anew_when_its_script_changes() -> None:
    assert pod("checks")["metadata"] != pod("checks", script="false")["metadata"]


@pytest.mark.parametrize(
    "changes", [{"rules": {"one.yml": RULES.replace("A", "B")}}, {"alertmanagers": ["a:9093"]}, {"models": [TINY]}], ids=str
)
def test_prometheus_keeps_its_pod_and_is_told_when_its_files_change(changes: dict[str, Any]) -> None:
    assert pod("prometheus") == pod("prometheus", **changes)
    answer = {"data": {"groups": [loaded(name, text) for name, text in files().items() if name != "prometheus.yml"]}}
    assert targets.rule_problems(answer, files()) == []
    assert targets.rule_problems(answer, files(**changes)) == [targets.OLD]


def test_prometheus_loads_every_file_that_it_is_given_again_when_it_changes() -> None:
    [container] = pod("prometheus")["spec"]["containers"]
    assert yaml.safe_load(files()["prometheus.yml"])["rule_files"] == ["declared.yml", "loaded.yml", "one.yml"]
    assert {"--config.file=/etc/prometheus/prometheus.yml", "--config.auto-reload"} <= set(container["command"])
    # Of a subPath the kubelet renews nothing.
    assert container["volumeMounts"][0] == {"name": "files", "mountPath": "/etc/prometheus", "readOnly": True}


def loaded(name: str, text: str) -> dict[str, Any]:
    """A file of one group, as Prometheus says that it has it."""
    [group] = yaml.safe_load(text)["groups"]
    rules = [{"name": rule.get("record") or rule["alert"], "health": "ok", "labels": rule.get("labels", {})} for rule in group["rules"]]
    return {"file": f"/etc/prometheus/{name}", "rules": rules}


@pytest.mark.parametrize(
    ("storage_class", "volume"),
    [("", {"emptyDir": {"sizeLimit": "20Gi"}}), ("fast", {"persistentVolumeClaim": {"claimName": "prometheus"}})],
)
def test_where_series_are_kept(storage_class: str, volume: dict[str, Any]) -> None:
    assert pod("prometheus", storage_class=storage_class)["spec"]["volumes"][-1] == {"name": "data", **volume}
    claim = objects(storage_class=storage_class).get("PersistentVolumeClaim/prometheus")
    assert bool(claim) == bool(storage_class)
    if claim:
        assert claim["spec"]["storageClassName"] == "fast"
        assert claim["spec"]["resources"] == {"requests": {"storage": "20Gi"}}


def test_what_is_kept_fits_what_there_is_room_for() -> None:
    command = pod("prometheus", storage_gib=8, retention="3d")["spec"]["containers"][0]["command"]
    assert {"--storage.tsdb.retention.time=3d", "--storage.tsdb.retention.size=6144MB"} <= set(command)


def test_alerts_are_sent_where_somebody_said() -> None:
    assert "alerting" not in scraping.configuration([])
    assert scraping.configuration(["a:9093"])["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["a:9093"]}]}]}


def test_prometheus_may_read_metrics_and_nothing_else() -> None:
    rules = {(item["kind"], item["metadata"].get("namespace")): item["rules"] for item in prometheus_objects.access() if "rules" in item}
    pods = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    assert rules.pop(("ClusterRole", None)) == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]
    assert rules == {("Role", "gpu-operator"): pods, ("Role", "llm"): pods}


def test_a_pod_of_checks_that_hangs_does_not_keep_the_next_one_away() -> None:
    spec = objects()["Deployment/checks"]["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(("models", "gpu"), [(MODELS, True), ([TINY], True), (MODELS[1:], False)], ids=["both", "GPUs", "no GPU"])
def test_the_checks_go_where_weights_are_mounted(models: list[dict[str, Any]], gpu: bool) -> None:
    spec = pod("checks", models=models)["spec"]
    taints = {toleration["key"]: toleration.get("tolerationSeconds") for toleration in spec["tolerations"]}
    assert (spec["nodeSelector"], "nvidia.com/gpu" in taints) == ({"gpu": "true"} if gpu else {}, gpu)
    # Beside the 50 s in which a node is found to be gone, and all that follows, under the 5 minutes of WeightsUnreadable.
    assert {taints[f"node.kubernetes.io/{taint}"] for taint in ("not-ready", "unreachable")} == {60}


def test_the_checks_are_told_their_models_and_ask_no_mounted_folder_for_them() -> None:
    [container] = pod("checks", claims={"tiny": "weights-tiny-0a", "large": "weights-large-0b"})["spec"]["containers"]
    assert container["command"][-1].endswith("/out /state 600 30 /weights/tiny /weights/large")
    assert "exec" not in container["readinessProbe"]


def test_the_checks_see_hashes_and_the_certificate_but_no_private_key() -> None:
    volumes = {volume["name"]: volume for volume in pod("checks")["spec"]["volumes"]}
    assert volumes["tls"]["secret"]["items"] == [{"key": "tls.crt", "path": "tls.crt"}]
    assert volumes["keys"]["secret"]["items"] == [{"key": "keys.map", "path": "keys.map"}]
    assert volumes["weights-tiny-0a"]["persistentVolumeClaim"] == {"claimName": "weights-tiny-0a", "readOnly": True}


def test_dashboards_are_found_by_grafana() -> None:
    for operator in (False, True):
        found = objects(operator)["ConfigMap/dashboards"]
        assert (found["metadata"]["labels"]["grafana_dashboard"], found["data"]) == ("1", {"a.json": "{}"})


def test_with_the_operator_there_is_no_prometheus_of_our_own() -> None:
    found = objects(True, labels={"release": "stack"})
    assert sorted(found) == [
        "ConfigMap/checks", "ConfigMap/dashboards", "Deployment/checks", "Namespace/llm", "NetworkPolicy/checks",
        "NetworkPolicy/operator-checks", "NetworkPolicy/operator-gateway", "NetworkPolicy/operator-inference",
        "PodMonitor/checks", "PodMonitor/gateway", "PodMonitor/inference", "PrometheusRule/rackstart",
    ]  # fmt: skip
    rule = found["PrometheusRule/rackstart"]
    assert [group["name"] for group in rule["spec"]["groups"]] == ["one", "rackstart-declared"]
    assert {found[name]["metadata"]["labels"]["release"] for name in found if name.startswith(("PodMonitor", "PrometheusRule"))} == {
        "stack"
    }


def test_the_operator_s_stack_has_the_watchdog_itself() -> None:
    rules = {file.name: file.read_text() for file in ROOT.glob("roles/monitoring/files/rules/*.yml")}

    def alerts(groups: list[dict[str, Any]]) -> set[str]:
        return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}

    own = alerts([group for text in rules.values() for group in yaml.safe_load(text)["groups"]])
    assert own - alerts(objects(True, rules=rules)["PrometheusRule/rackstart"]["spec"]["groups"]) == {"Watchdog"}


@pytest.mark.parametrize("found", [{"__gpu_operator_monitors": {"exists": True}}, {"__gpu_operator_monitors": {"exists": False}}, {}])
@pytest.mark.parametrize("files", [("roles/gpu_operator/defaults/main.yml",), ("roles/gpu_operator/defaults/main.yml", SITE)], ids=len)
def test_the_gpu_operator_s_monitor_is_there_with_its_kind_and_is_found_by_the_same_labels(
    files: tuple[str, ...], found: dict[str, Any]
) -> None:
    loader = DataLoader()
    values: dict[str, Any] = {"monitoring_operator_labels": {"release": "stack"}, **found}
    for file in files:
        values |= loader.load_from_file(str(ROOT / file), trusted_as_template=True)
    chart = Templar(loader=loader, variables=values).template(values["gpu_operator_values"])
    labels = {"release": "stack"} if SITE in files else {}  # a role by itself has none
    node = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
    assert chart["dcgmExporter"]["serviceMonitor"] == {
        "enabled": found == {"__gpu_operator_monitors": {"exists": True}},
        "additionalLabels": labels,
        "relabelings": [node],
    }


def test_the_prometheus_of_one_namespace_may_read_what_the_operator_s_is_told_of() -> None:
    found = objects(True)
    for name, labels, port in [
        ("checks", {"app.kubernetes.io/component": "checks"}, 9101),
        ("gateway", {"app.kubernetes.io/component": "gateway"}, 8404),
        ("inference", {"rackstart.io/engine": "vllm"}, 8000),
    ]:
        spec = found[f"NetworkPolicy/operator-{name}"]["spec"]
        # The lab, which shows that policies hold, knows no matchExpressions.
        assert spec["podSelector"] == {"matchLabels": labels} == found[f"PodMonitor/{name}"]["spec"]["selector"]
        [rule] = spec["ingress"]
        assert rule["from"] == [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "watch"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            }
        ]
        assert rule["ports"] == [{"protocol": "TCP", "port": port}]


def test_a_pod_monitor_says_what_our_own_configuration_says() -> None:
    monitor = next(item for item in scraping.pod_monitors({}) if item["metadata"]["name"] == "inference")
    assert monitor["spec"] == {
        "selector": {"matchLabels": {"rackstart.io/engine": "vllm"}},
        "podMetricsEndpoints": [
            {
                "port": "http",
                "path": "/metrics",
                "interval": "30s",
                "relabelings": [
                    {"targetLabel": "job", "replacement": "rackstart-inference"},
                    {"sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"], "targetLabel": "model"},
                    {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "pod"},
                    {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
                ],
                "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "vllm:.+", "action": "keep"}],
            }
        ],
    }


def test_pods_are_of_jobs_that_nobody_else_has_and_are_called_alike_by_the_operator_s() -> None:
    own = scraping.configuration([])["scrape_configs"]
    rules = {job["job_name"]: [rule for rule in job["relabel_configs"] if rule.get("target_label") == "job"] for job in own}
    called = {name: f"rackstart-{name}" for name in ("inference", "gateway", "checks")} | {"dcgm": "nvidia-dcgm-exporter"}
    assert {name: rule["replacement"] for name, found in rules.items() for rule in found} == called
    assert {name: scraping.label(name) for name in scraping.JOBS} == {name: name for name in scraping.JOBS} | called


def test_ports_and_labels_are_those_of_the_pods() -> None:
    model = {
        "name": "tiny",
        "served_name": "tiny",
        "replicas": 1,
        "gpus_per_replica": 1,
        "context_length": 1,
        "dtype": "auto",
        "engine": "vllm",
    }
    model |= {"node_selector": {}, "resources": {}, "startup_seconds": 1, "golden_prompts": []}
    engines: Any = {
        "images": {"vllm": "i"},
        "claims": {"tiny": "c"},
        "read_only_root": True,
        "gpu_memory_utilization": 0.9,
        "shm_size": "1Gi",
        "key": "k",
    }
    gateway: Any = {
        "image": "i",
        "replicas": 1,
        "service_type": "NodePort",
        "annotations": {},
        "node_port": 30443,
        "body_mib": 1,
        "connections": 1,
        "answer": 1,
        "marks": [],
    }
    pods = {
        "inference": inference.deployment(model, engines)["spec"]["template"],
        "gateway": gateway_objects.deployment(gateway, "")["spec"]["template"],
        "checks": pod("checks"),
    }
    for name, template in pods.items():
        job = scraping.JOBS[name]
        assert isinstance(job, scraping.Pods)
        assert job.selector in {f"{key}={value}" for key, value in template["metadata"]["labels"].items()}
        assert {"name": job.port_name, "containerPort": job.port} in template["spec"]["containers"][0]["ports"]


def test_rules_that_are_not_loaded_or_fail_are_named() -> None:
    rules = [{"name": "A", "health": "ok"}, {"name": "B", "health": "err", "lastError": "boom"}, {"name": "C", "health": "unknown"}]
    answer = {"data": {"groups": [{"file": "/etc/prometheus/one.yml", "rules": rules}]}}
    names = {"prometheus.yml": "", "one.yml": "", "two.yml": ""}
    assert targets.rule_problems(answer, names) == ["two.yml is not loaded", targets.OLD, "B: boom"]

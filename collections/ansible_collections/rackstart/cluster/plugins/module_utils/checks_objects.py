"""Kubernetes objects of the checks: a pod that reads weights, keys and certificate, and has metrics of them."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_objects, pods, scraping

Object = dict[str, t.Any]

NAME = "checks"
LABELS = pods.labels(NAME, NAME)
MATCH = pods.selector(LABELS)
ROUND, PAUSE = 600, 30  # seconds between two hashes of a model, and between two looks at it
SCRIPT = "checks.sh"
AWAY = 60  # seconds until it leaves a node that is gone: by Kubernetes' 300 WeightsUnreadable would fire of every model meanwhile


def _container(image: str, claims: dict[str, str]) -> Object:
    script = f"sh /checks/{SCRIPT} /keys/{gateway_objects.KEYS_FILE} /tls/tls.crt /out /state {ROUND} {PAUSE}"
    weights = " ".join(f"/weights/{model}" for model in claims)
    return {
        "name": NAME,
        "image": image,
        "command": ["sh", "-c", f"httpd -p {scraping.CHECKS_PORT} -h /out && exec {script} {weights}"],
        "ports": [{"name": "metrics", "containerPort": scraping.CHECKS_PORT}],
        # Ready says: metrics are served. A store that does not answer is one of them, and holds nothing up.
        "readinessProbe": {"httpGet": {"path": scraping.CHECKS_PATH, "port": "metrics"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            *({"name": name, "mountPath": f"/{name}", "readOnly": True} for name in ("checks", "keys", "tls")),
            *({"name": name, "mountPath": f"/{name}"} for name in ("out", "state")),
            *({"name": claim, "mountPath": f"/weights/{model}", "readOnly": True} for model, claim in claims.items()),
        ],
    }


def objects(image: str, claims: dict[str, str], script: str, gpu: bool) -> list[Object]:
    """What runs the script, where weights are known to be mounted. claims: of each model; gpu: on a GPU node, as some model is."""
    meta = {"name": NAME, "namespace": pods.NAMESPACE, "labels": LABELS}
    secrets = {
        # Only hashes are in it.
        "keys": {
            "secretName": gateway_objects.KEYS_SECRET,
            "items": [{"key": gateway_objects.KEYS_FILE, "path": gateway_objects.KEYS_FILE}],
        },
        "tls": {"secretName": gateway_objects.TLS_SECRET, "items": [{"key": "tls.crt", "path": "tls.crt"}]},
    }
    volumes = [
        {"name": "checks", "configMap": {"name": NAME}},
        *({"name": name, "secret": {**secret, "defaultMode": 0o440, "optional": True}} for name, secret in secrets.items()),
        {"name": "out", "emptyDir": {}},
        {"name": "state", "emptyDir": {}},
        *(pods.claim_volume(claim, claim) for claim in claims.values()),
    ]
    spec = pods.spec([_container(image, claims)], volumes, {}, 1, gpu)
    spec["tolerations"] += [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": AWAY}
        for taint in ("not-ready", "unreachable")
    ]
    template = {"labels": LABELS, "annotations": {"rackstart.io/inputs": pods.mark(script)}}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {SCRIPT: script}},
        pods.network_policy(NAME, LABELS, MATCH, [pods.admitted(scraping.CHECKS_PORT, "monitoring")], []),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": MATCH},
                # A pod that hangs with its volume need not be gone before the next one comes.
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "revisionHistoryLimit": 0,  # a former template would hold weights that nobody needs any more
                "template": {"metadata": template, "spec": spec},
            },
        },
    ]

"""Kubernetes objects of the gateway: HAProxy, by which alone clients reach the engines."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import gateway, inference, pods

Object = dict[str, t.Any]

NAME = "gateway"
LABELS = pods.labels(NAME, "gateway")
MATCH = pods.selector(LABELS)
KEYS_SECRET, KEYS_FILE = "gateway-keys", "keys.map"
TLS_SECRET = "gateway-tls"
PORT, HEALTH_PORT = 8443, 8404
FOLDER = "/etc/gateway"
KEYS_PATH = f"{FOLDER}/keys/{KEYS_FILE}"
USER = 99  # haproxy in its official image
PRESTOP = 10  # seconds until every node has stopped sending it connections


class Settings(t.TypedDict):
    """image: pinned by digest; service_type: NodePort or LoadBalancer; annotations: of the Service, for what gives it an address;

    body_mib: of one request at most; connections: of one replica at once; answer: seconds until it begins;
    marks: of what new pods are made for.
    """

    image: str
    replicas: int
    service_type: str
    annotations: dict[str, t.Any]
    node_port: int
    body_mib: int
    connections: int
    answer: int
    marks: list[str]


def configuration(models: list[Object], settings: Settings) -> str:
    """haproxy.cfg for these models, whose replicas are found by the cluster's DNS."""
    served = [
        {
            "name": model["name"],
            "served_name": model["served_name"],
            "health": inference.ENGINES[model["engine"]].HEALTH,
            # Room for the old and the new replicas while they are replaced.
            "servers": [
                f"server-template replica 1-{2 * int(model['replicas']) + 2} {model['name']}.{pods.NAMESPACE}.svc.cluster.local:"
                f"{inference.PORT} resolvers cluster init-addr none"
            ],
        }
        for model in models
    ]
    return gateway.configuration(
        served,
        {
            # HTTP/1.1 alone: over HTTP/2 HAProxy 2.6 ends a body that is too long without an answer.
            "bind": f":{PORT} ssl crt {FOLDER}/tls/gateway.pem alpn http/1.1",
            "health": f":{HEALTH_PORT}",
            "runtime": f"ipv4@127.0.0.1:{gateway.RUNTIME_PORT}",
            "keys": KEYS_PATH,
            "body": settings["body_mib"] << 20,
            "connections": settings["connections"],
            "answer": settings["answer"],
        },
    )


def _meta() -> Object:
    return {"name": NAME, "namespace": pods.NAMESPACE, "labels": LABELS}


def _container(settings: Settings) -> Object:
    most = 256 + 2 * settings["connections"] * settings["body_mib"]  # HAProxy has a buffer for either direction of each connection
    probe = {"httpGet": {"path": "/healthz", "port": "health"}, "timeoutSeconds": 5}
    return {
        "name": "haproxy",
        "image": settings["image"],
        "command": ["haproxy", "-W", "-db", "-f", f"{FOLDER}/config/haproxy.cfg"],
        "env": [pods.secret_variable("ENGINE_KEY", inference.KEY_SECRET)],
        "ports": [{"name": "https", "containerPort": PORT}, {"name": "health", "containerPort": HEALTH_PORT}],
        "readinessProbe": probe | {"periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": probe | {"periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRESTOP}}},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": f"{most}Mi"}},
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": name, "mountPath": f"{FOLDER}/{name}", "readOnly": True} for name in ("config", "keys", "tls")],
    }


def deployment(settings: Settings, config: str) -> Object:
    """The replicas, away from GPU nodes where there are others."""
    away = {"matchExpressions": [{"key": "gpu", "operator": "NotIn", "values": ["true"]}]}
    files = [{"key": "tls.crt", "path": "gateway.pem"}, {"key": "tls.key", "path": "gateway.pem.key"}]
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.POD_SECURITY | {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": away}]}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": MATCH},
                "matchLabelKeys": ["pod-template-hash"],
                "nodeTaintsPolicy": "Honor",
            }
        ],
        "terminationGracePeriodSeconds": PRESTOP + settings["answer"] + 5,
        "containers": [_container(settings)],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "keys", "secret": {"secretName": KEYS_SECRET, "defaultMode": 0o440}},
            {"name": "tls", "secret": {"secretName": TLS_SECRET, "defaultMode": 0o440, "items": files}},
        ],
    }
    template = {"labels": LABELS, "annotations": {"rackstart.io/inputs": pods.mark(config, *settings["marks"])}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(),
        "spec": {
            "replicas": settings["replicas"],
            "selector": {"matchLabels": MATCH},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 3,
            "template": {"metadata": template, "spec": spec},
        },
    }


def objects(models: list[Object], settings: Settings) -> list[Object]:
    """Everything but its Secrets, in the order to apply it."""
    config = configuration(models, settings)
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": "https", "nodePort": settings["node_port"]}
    annotations = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings["annotations"].items()}
    exposed = _meta() | ({"annotations": annotations} if annotations else {})
    to_engines = {"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "inference"}}}]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(), "data": {"haproxy.cfg": config}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": exposed,
            "spec": {"type": settings["service_type"], "selector": MATCH, "ports": [port]},
        },
        pods.disruption_budget(NAME, LABELS),
        pods.network_policy(
            NAME,
            LABELS,
            MATCH,
            [{"ports": [{"protocol": "TCP", "port": PORT}]}, pods.admitted(HEALTH_PORT, "monitoring")],
            [pods.TO_DNS, to_engines | {"ports": [{"protocol": "TCP", "port": inference.PORT}]}],
        ),
        deployment(settings, config),
    ]

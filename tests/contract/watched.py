"""A small cluster for Prometheus to look at: an API server's objects, and what answers at their ports."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import programs
from ansible_collections.rackstart.cluster.plugins.module_utils import scraping

IMAGE = "docker.io/acme/image:v1@sha256:" + "0" * 64
# What each job's target says; the second series is of those that nobody asked for.
TEXT = {
    "inference": 'vllm:num_requests_running{model_name="tiny"} 1\npython_info 1\n',
    "gateway": 'haproxy_backend_active_servers{proxy="tiny"} 1\nhaproxy_server_status{proxy="tiny"} 1\n',
    "checks": 'rackstart_weights_good{model="tiny"} 1\n',
    "dcgm": 'DCGM_FI_DEV_GPU_UTIL{gpu="0",pod="tiny-0",namespace="llm"} 1\ngo_threads 1\n',
    "kubelet": 'kubelet_volume_stats_available_bytes{namespace="llm",persistentvolumeclaim="weights-tiny-0a"} 1\ngo_threads 1\n',
    "cadvisor": "machine_memory_bytes 1\nmachine_cpu_cores 1\n",
}


class Target(ThreadingHTTPServer):
    """Says by each path what the jobs of its port say."""

    daemon_threads = True

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__((programs.LOOPBACK, port), Answer)
        self.pages = {job.path: TEXT[name] for name, job in scraping.JOBS.items() if job.port == port}
        if isinstance(next(job for job in scraping.JOBS.values() if job.port == port), scraping.Nodes):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    server: Target

    def do_GET(self) -> None:
        body = self.server.pages[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def targets(folder: Path) -> Iterator[None]:
    """Every job's but the API server's; folder: has the certificate for nodes."""
    servers = [Target(port, folder) for port in {scraping.JOBS[name].port for name in TEXT}]
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def pod(name: str, namespace: str, labels: dict[str, str], port: int) -> dict[str, Any]:
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {"name": "one", "image": IMAGE, "ports": [{"containerPort": 1234}, {"containerPort": port}]}
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {"containers": [container], "securityContext": security, "nodeName": "gpu-1", "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}


def inhabit(kubectl: programs.Kubectl) -> None:
    """A server that is a GPU node too, and a pod of each kind; a pod that has ended is no target."""
    role = {"node-role.kubernetes.io/control-plane": "true"}
    kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-1", "labels": role}})
    address = {"status": {"addresses": [{"type": "InternalIP", "address": programs.LOOPBACK}]}}
    kubectl("patch", "node", "gpu-1", "--subresource=status", "--patch", json.dumps(address))
    jobs = {name: job for name, job in scraping.JOBS.items() if isinstance(job, scraping.Pods)}
    for name, job in [*jobs.items(), ("ended", jobs["inference"])]:
        key, _, value = job.selector.partition("=")
        labels = {key: value, "app.kubernetes.io/name": "tiny"}
        kubectl("create", "-f", "-", given=pod(name, job.namespace, labels, job.port))
        state = {"phase": "Failed" if name == "ended" else "Running", "podIP": programs.LOOPBACK, "podIPs": [{"ip": programs.LOOPBACK}]}
        kubectl("patch", "pod", name, "-n", job.namespace, "--subresource=status", "--patch", json.dumps({"status": state}))

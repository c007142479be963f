"""Programs of the rack as plain processes on loopback, for tests to ask."""

import contextlib
import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import certificates
from ansible_collections.rackstart.cluster.plugins.module_utils import vllm as vllm_of_a_pod

from lab.engine import build as engine
from lab.k3s import build as k3s
from lab.model import build as model
from lab.model.revision import REPOSITORY, revision
from tests.loopback import program

LOOPBACK = "127.7.0.1"  # an address of loopback that nobody else listens on, for programs whose ports are fixed
ADMIN = "test-admin"


def get(url: str, token: str = "", data: Any = None) -> str:
    """What is at a URL; raises OSError."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = json.dumps(data).encode() if data else None
    request = urllib.request.Request(url, body, headers | ({"Content-Type": "application/json"} if body else {}))
    context = ssl._create_unverified_context() if url.startswith("https") else None
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return str(answer.read().decode())


@contextlib.contextmanager
def vllm(folder: Path, port: int) -> Iterator[str]:
    """The pinned engine with the lab's model, which has answered once; yields its address."""
    weights = model.artifact() / REPOSITORY / revision()
    served = {"served_name": "tiny", "context_length": 256, "dtype": "bfloat16", "gpus_per_replica": 1, "extra_args": ["--enforce-eager"]}
    arguments = [argument for argument in vllm_of_a_pod.arguments(served, 0.1) if not argument.startswith("--port")]
    command = [engine.artifact() / "bin/vllm", "serve", weights, *arguments[1:], "--host=127.0.0.1", f"--port={port}"]
    environment = vllm_of_a_pod.environment({}) | {"HOME": folder, "VLLM_CACHE_ROOT": folder / "cache", "XDG_CONFIG_HOME": folder}
    address = f"http://127.0.0.1:{port}"
    with program(folder / "log", *command, **environment) as until:
        until(lambda: get(f"{address}/health") == "")
        # A first prompt of few tokens kills it on a processor with AMX: only kernels for more of them ask Linux for its tiles.
        get(f"{address}/v1/completions", data={"model": "tiny", "prompt": "Say hello. " * 16, "max_tokens": 8})
        yield address


@dataclass(frozen=True)
class Kubectl:
    """The API server's administrator; folder: has its files, and ca.crt, tls.crt and tls.key."""

    folder: Path
    binary: Path

    def __call__(self, *arguments: str, given: Any = None) -> str:
        connection = [f"--server=https://{LOOPBACK}:6443", f"--certificate-authority={self.folder / 'ca.crt'}", f"--token={ADMIN}"]
        command = [self.binary, "kubectl", *connection, *arguments]
        done = subprocess.run(command, input=json.dumps(given) if given else "", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def api_server(folder: Path, etcd_ports: tuple[int, int]) -> Iterator[Kubectl]:
    """etcd and kube-apiserver at LOOPBACK:6443, with ca.crt beside them; yields its administrator."""
    for name, pair in zip(("ca", "tls"), certificates.made({}, {}, [LOOPBACK]), strict=True):
        certificate, key = certificates.read(pair)
        (folder / f"{name}.crt").write_text(certificates.pem(certificate))
        (folder / f"{name}.key").write_text(certificates.pem(key))
    subprocess.run(["openssl", "genrsa", "-out", folder / "account.key", "2048"], check=True, capture_output=True)
    (folder / "tokens").write_text(f'{ADMIN},admin,1,"system:masters"\n')
    binary = k3s.artifact() / "k3s"
    client, peer = (f"http://127.0.0.1:{port}" for port in etcd_ports)
    etcd = {
        "data-dir": folder / "etcd", "listen-client-urls": client, "advertise-client-urls": client, "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}", "unsafe-no-fsync": "true", "log-level": "error",
    }  # fmt: skip
    api = {
        "etcd-servers": client, "bind-address": LOOPBACK, "secure-port": 6443, "authorization-mode": "RBAC",
        "tls-cert-file": folder / "tls.crt", "tls-private-key-file": folder / "tls.key", "token-auth-file": folder / "tokens",
        "service-account-key-file": folder / "account.key", "service-account-signing-key-file": folder / "account.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "disable-admission-plugins": "ServiceAccount", "service-cluster-ip-range": "10.43.0.0/16",
    }  # fmt: skip

    with (
        program(folder / "etcd.log", binary, "component", "etcd", *(f"--{name}={value}" for name, value in etcd.items())),
        program(folder / "api.log", binary, "component", "kube-apiserver", *(f"--{name}={value}" for name, value in api.items())) as until,
    ):
        until(lambda: get(f"https://{LOOPBACK}:6443/readyz", ADMIN) == "ok")
        yield Kubectl(folder, binary)

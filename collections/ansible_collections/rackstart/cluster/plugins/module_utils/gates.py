"""The verdict's gates: pure functions from what is declared and what was seen to one judgement per thing looked at."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from ansible_collections.rackstart.cluster.plugins.module_utils import nodes, operator, prompts, targets
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import on_gpu
from ansible_collections.rackstart.cluster.plugins.module_utils.observe import Observed, Served

Model = dict[str, t.Any]
Probe = dict[str, t.Any]

# Every gate: the stage that puts it right when run again, and what is measured.
GATES = {
    "host.reachable": ("preflight", "each host answers ssh and can be looked at with sudo"),
    "gpu.pci": ("preflight", "each GPU host's PCI bus holds as many GPUs as its `gpu_count`"),
    "gpu.driver": ("driver", "`nvidia-smi` on each GPU host lists as many GPUs as the PCI bus holds"),
    "api.ready": ("control_plane", "the cluster's API answers; without it the gates below are left out, and the verdict is red"),
    "etcd.voter": ("control_plane", "each server's node has the condition `EtcdIsVoter`; a learner does not count for the quorum"),
    "node.ready": ("nodes", "each host of the cluster has a node that is Ready"),
    "node.set": ("nodes", "the cluster's nodes are the inventory's hosts, no more and no fewer"),
    "node.labels": ("labels", "each node's labels that are ours equal the inventory"),
    "node.taints": ("labels", "each node's taints that are ours equal the inventory"),
    "gpu.operator": ("gpu_operator", "the ClusterPolicy's state is ready"),
    "gpu.allocatable": ("gpu_operator", "each GPU node offers as many `nvidia.com/gpu` as `nvidia-smi` lists GPUs there"),
    "model.published": ("models", "each model's revision has a manifest in the store"),
    "volume.bound": ("volumes", "each model's claim is bound to a volume that is ReadOnlyMany"),
    "volume.manifest": ("volumes", "in a pod on each GPU node of the model, the mounted manifest's SHA-256 is that of the store"),
    "volume.read_only": ("volumes", "in the same pod, the weights are mounted read-only"),
    "replica.count": ("inference", "each model has as many replicas declared and ready as the inventory says"),
    "replica.answers": ("inference", "each replica, by port-forward, gives the expected answer to every golden prompt"),
    "gateway.replicas": ("gateway", "the gateway has as many replicas ready as the inventory says"),
    "gateway.keys": ("gateway", "each replica of the gateway accepts the keys of the Secret `gateway-keys`, no more and no fewer"),
    "gateway.refuses": ("gateway", "over TLS, the gateway answers a wrong key and none at all with HTTP 401"),
    "endpoint.answers": ("gateway", "over TLS and with a right key, the gateway gives a right answer of each model"),
    "metrics.answers": ("monitoring", "where Rackstart runs Prometheus, it answers; without it the two gates below are left out"),
    "metrics.target": ("monitoring", "Prometheus reads each pod that has metrics, and each node that is Ready"),
    "metrics.rules": ("monitoring", "Prometheus has loaded every file of rules, and can evaluate each"),
}

UNSEEN = "Look whether {host} is up and answers ssh and sudo; put it into out_of_service while it is away."


class Gate(t.TypedDict):
    """One judgement. target: a host, node, model or replica; stage: the one that puts it right when run again."""

    id: str
    target: str
    ok: bool
    expected: t.Any
    seen: t.Any
    remedy: str
    stage: str


class Declared(t.TypedDict):
    """What the inventory declares, without the hosts that are out of service (away).

    marks: labels and taints by node; gpus: number of GPUs by host; stores: directory of each model's revision on the storage host;
    gateways: replicas of the gateway.
    """

    hosts: list[str]
    servers: list[str]
    away: list[str]
    marks: dict[str, nodes.Marks]
    gpus: dict[str, int]
    models: list[Model]
    stores: dict[str, str]
    storage: str
    gateways: int


def _gate(name: str, target: str, expected: t.Any, seen: t.Any, remedy: str, ok: bool | None = None) -> Gate:
    """A gate that is open when what was seen is what was expected, or as ok says; the remedy is for a closed one."""
    good = expected == seen if ok is None else ok
    remedy = "" if good else remedy
    return {"id": name, "target": target, "ok": good, "expected": expected, "seen": seen, "remedy": remedy, "stage": GATES[name][0]}


def hosts(declared: Declared, probes: dict[str, Probe | None]) -> Iterator[Gate]:
    """Every host answers and could be looked at."""
    for host in declared["hosts"]:
        probe = probes.get(host)
        yield _gate("host.reachable", host, "answers", "answers" if probe else "no answer", UNSEEN.format(host=host))


def api_ready(problem: str) -> Iterator[Gate]:
    """The cluster's API answers."""
    yield _gate("api.ready", "cluster", "answers", problem or "answers", "Look at `journalctl -u k3s` on the servers.")


def etcd(declared: Declared, seen: Observed) -> Iterator[Gate]:
    """Every server votes in etcd; one that only learns does not count for the quorum."""
    for server in declared["servers"]:
        conditions = ((seen["nodes"].get(server) or {}).get("status") or {}).get("conditions") or []
        voter = next((item["status"] for item in conditions if item["type"] == "EtcdIsVoter"), "not reported")
        yield _gate("etcd.voter", server, "True", voter, f"Look at `journalctl -u k3s` on {server}.")


def node_set(declared: Declared, seen: Observed) -> Iterator[Gate]:
    """The cluster's nodes are the inventory's hosts, no more and no fewer, and ready."""
    for name in declared["marks"]:
        problem = nodes.not_ready(seen["nodes"].get(name))
        yield _gate("node.ready", name, "Ready", problem or "Ready", f"Look at `journalctl -u k3s -u k3s-agent` on {name}.")
    found = sorted(seen["nodes"].keys() - set(declared["away"]))
    strange = ", ".join(sorted(set(found) - declared["marks"].keys()))
    remedy = f"Add {strange} to the inventory, or delete the node." if strange else "Run the stage nodes."
    yield _gate("node.set", "cluster", sorted(declared["marks"]), found, remedy)


def marks(declared: Declared, seen: Observed) -> Iterator[Gate]:
    """Labels and taints that are ours equal the inventory."""
    for name, want in declared["marks"].items():
        node = seen["nodes"].get(name) or {"metadata": {}, "spec": {}}
        remedy = "Run the stage labels."
        yield _gate("node.labels", name, want["labels"], nodes.owned_labels(node, want), remedy)
        taints = sorted(map(nodes.taint_text, nodes.owned_taints(node, want)))
        yield _gate("node.taints", name, sorted(map(nodes.taint_text, want["taints"])), taints, remedy)


def gpus_of_hosts(declared: Declared, probes: dict[str, Probe | None]) -> Iterator[Gate]:
    """The PCI bus holds the GPUs that the inventory declares, and the driver lists those of the bus."""
    for host, count in declared["gpus"].items():
        probe = probes.get(host)
        if not probe:
            for gate in ("gpu.pci", "gpu.driver"):
                yield _gate(gate, host, count, "no answer", UNSEEN.format(host=host))
            continue
        bus = len(probe.get("pci_gpus") or [])
        remedy = f"Compare gpu_count of {host} with `lspci -d 10de:` there; a GPU may be missing."
        yield _gate("gpu.pci", host, count, bus, remedy)
        smi = probe.get("nvidia_smi") or {}
        error = f" It says: {smi['error']}" if smi.get("error") else ""
        remedy = f"Run `nvidia-smi` on {host} and look at `dmesg`; a reboot may be due after an upgrade of the driver.{error}"
        yield _gate("gpu.driver", host, bus, len(smi.get("gpus") or []), remedy)


def gpus_of_cluster(declared: Declared, probes: dict[str, Probe | None], seen: Observed) -> Iterator[Gate]:
    """The operator is ready and offers the GPUs of the driver: what that does not list closes the driver's own gate."""
    problem = operator.policy_problem(seen["policy"])
    remedy = "Run the stage gpu_operator; `kubectl -n gpu-operator get pods` shows which of its pods fail."
    yield _gate("gpu.operator", operator.POLICY, "ready", problem or "ready", remedy)
    for host in declared["gpus"]:
        listed = len(((probes.get(host) or {}).get("nvidia_smi") or {}).get("gpus") or [])
        node = seen["nodes"].get(host)
        remedy = f"Look at the device plugin's pod on {host}: `kubectl -n gpu-operator get pods -o wide`."
        yield _gate("gpu.allocatable", host, listed, nodes.allocatable(node) if node else 0, remedy)


def _bound(served: Served) -> str:
    claim, volume = served["claim"], served["volume"]
    if not claim or not volume:
        return "no volume" if not volume else "no claim"
    phase, modes = (claim.get("status") or {}).get("phase"), ",".join(volume["spec"]["accessModes"])
    return f"{phase} {modes}"


def volumes(declared: Declared, probes: dict[str, Probe | None], seen: Observed) -> Iterator[Gate]:
    """Every revision is published, its claim bound, and on every GPU node of the model a pod sees just that, and cannot write."""
    store = (probes.get(declared["storage"]) or {}).get("store") or {}
    for model in declared["models"]:
        name, served = model["name"], seen["models"][model["name"]]
        path = declared["stores"][name]
        published = (store.get(path) or {}).get("manifest_sha256")
        remedy = f"Run the stage models; {path} on {declared['storage']} has no manifest."
        yield _gate("model.published", name, "a manifest", published or "none", remedy, ok=bool(published))
        yield _gate("volume.bound", name, "Bound ReadOnlyMany", _bound(served), "Run the stage volumes.")
        mounted = {mount["node"]: mount for mount in served["mounts"]}
        for node in sorted(_pool(declared, model)):
            mount = mounted.get(node)
            target, problem = f"{name}@{node}", (mount["problem"] if mount else "no pod has it mounted here")
            remedy = f"Look at the events of the pods of `kubectl -n llm get pods -o wide` on {node}; the NFS server may not answer."
            manifest = problem or (mount["manifest"] if mount else "")
            yield _gate("volume.manifest", target, published, manifest, remedy)
            mode = problem or ("read-only" if mount and mount["read_only"] else "writable")
            yield _gate("volume.read_only", target, "read-only", mode, remedy)


def _pool(declared: Declared, model: Model) -> list[str]:
    """Hosts that the model may run on: GPU hosts, or for a model without GPUs those without a taint."""
    marks = declared["marks"]
    wanted = (({"gpu": "true"} if on_gpu(model) else {}) | model["node_selector"]).items()
    hosts = declared["gpus"] if on_gpu(model) else [host for host in marks if not marks[host]["taints"]]
    return [host for host in hosts if wanted <= marks[host]["labels"].items()]


def replicas(declared: Declared, seen: Observed) -> Iterator[Gate]:
    """As many replicas as declared, each with the right answer to every golden prompt."""
    for model in declared["models"]:
        name, served = model["name"], seen["models"][model["name"]]
        ready = {"asked_for": served["declared"], "ready": len(served["answers"])}
        wanted = {"asked_for": model["replicas"], "ready": model["replicas"]}
        yield _gate("replica.count", name, wanted, ready, "Run the stage inference; `kubectl -n llm get pods` shows what is missing.")
        for answer in served["answers"]:
            wrong = prompts.wrong(answer)
            remedy = "Look at the replica's log; answers that are wrong with all else green mean other weights or another engine."
            expected = [item["expect"] for item in answer["prompts"]]
            yield _gate(
                "replica.answers",
                f"{name}/{answer['pod']}",
                expected,
                wrong or [item["answer"] for item in answer["prompts"]],
                remedy,
                not wrong,
            )


def gateway(declared: Declared, seen: Observed) -> Iterator[Gate]:
    """Who has a key is answered right, and nobody else is."""
    found = seen["gateway"]
    remedy = "Run the stage gateway; `kubectl -n llm get pods` shows which of its pods are missing."
    yield _gate("gateway.replicas", "gateway", declared["gateways"], found["ready"], remedy)
    for pod, problem in found["keys"].items():
        yield _gate("gateway.keys", pod, "the Secret's", problem or "the Secret's", "Run the stage gateway: it tells every replica.")
    for what, seen_of_it in found["refusals"].items():
        yield _gate("gateway.refuses", what, "HTTP 401", seen_of_it, "Run the stage gateway, and look at its pods' logs.")
    for model in declared["models"]:
        problem = seen["models"][model["name"]]["endpoint"]
        logs = "kubectl -n llm logs -l app.kubernetes.io/component=gateway --tail=-1"
        remedy = f"Run the stage gateway; `{logs}` says whether it finds the replicas."
        yield _gate("endpoint.answers", model["name"], "answers", problem or "answers", remedy)


def metrics(seen: Observed) -> Iterator[Gate]:
    """What alerts are made of is read."""
    found = seen["metrics"]
    if found is None:
        return
    remedy = "Run the stage monitoring; `kubectl -n llm get pods` and `kubectl -n llm logs deploy/prometheus` show what is wrong."
    yield _gate("metrics.answers", "prometheus", "answers", found["problem"] or "answers", remedy)
    if found["problem"]:
        return
    for job, states in found["jobs"].items():
        for name, state in states.items():
            remedy = f"docs/runbooks/TargetDown.md says how to look at {name}; the stage monitoring mends what Prometheus may and knows."
            yield _gate("metrics.target", f"{job}/{name}", targets.UP, state, remedy)
    yield _gate("metrics.rules", "prometheus", [], found["rules"], "Run the stage monitoring: it loads the rules anew.")


def judge(declared: Declared, probes: dict[str, Probe | None], seen: Observed | None, problem: str) -> list[Gate]:
    """All gates. seen is None, and problem says why, when the API does not answer: then the cluster's gates are left out, and it is red."""
    found = [*hosts(declared, probes), *gpus_of_hosts(declared, probes), *api_ready(problem)]
    if seen is not None:
        found += [*etcd(declared, seen), *node_set(declared, seen), *marks(declared, seen)]
        found += [*gpus_of_cluster(declared, probes, seen), *volumes(declared, probes, seen), *replicas(declared, seen)]
        found += [*gateway(declared, seen), *metrics(seen)]
    return found

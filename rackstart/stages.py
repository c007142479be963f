"""The stages, in the order of the table in docs; playbooks/NAME.yml runs stage NAME. Day 2's playbooks are run one by one."""

from dataclasses import dataclass

CLUSTER = "cluster"  # runs on the controller against the Kubernetes API
CONTROLLER = "controller"  # runs on the controller and looks at everything


@dataclass(frozen=True)
class Stage:
    """One playbook. `hosts` is `all`, a group, CLUSTER or CONTROLLER; `after` are the stages it needs; `passed` is what passing means."""

    name: str
    hosts: str
    after: tuple[str, ...]
    passed: str
    report: str = ""  # file in the state directory that the playbook writes for the wrapper to show
    folder: str = "playbooks"

    @property
    def on_hosts(self) -> bool:
        """Whether it works on hosts of the inventory (and --limit narrows it)."""
        return self.hosts not in (CLUSTER, CONTROLLER)


# On a host that is in both, the cluster comes before the weights, which may take hours and which only volumes needs.
_WORK = (
    Stage("preflight", "all", (), "every check green or waived; nothing was changed", "preflight.json"),
    Stage("host", "all", ("preflight",), "packages, swap, modules, sysctls, time, firewall, CA, proxy as declared"),
    Stage("storage", "storage", ("host",), "export as declared, read-only to all but the writer"),
    Stage("driver", "gpu", ("host",), "nvidia-smi lists as many GPUs as the PCI bus"),
    Stage("control_plane", "k3s_server", ("host",), "/readyz on each, all etcd voters"),
    Stage("models", "storage", ("storage",), "every declared revision published and verified file by file"),
    Stage("nodes", "k3s_agent", ("control_plane", "driver"), "every host of the inventory is a Ready node"),
    Stage("labels", CLUSTER, ("nodes",), "owned labels and taints equal the inventory"),
    Stage("gpu_operator", CLUSTER, ("labels",), "allocatable nvidia.com/gpu equals the driver's count on each node"),
    Stage(
        "volumes", CLUSTER, ("control_plane", "models", "nodes"), "one bound ROX claim per revision, mounted read-only on every GPU node"
    ),
    Stage("inference", CLUSTER, ("gpu_operator", "volumes"), "every replica answered a golden prompt"),
    Stage("gateway", CLUSTER, ("inference",), "right key answers, wrong key refused, over TLS"),
    Stage("monitoring", CLUSTER, ("gateway",), "every target is up, every alert rule loads"),
)
STAGES = (*_WORK, Stage("verify", CONTROLLER, tuple(stage.name for stage in _WORK), "the verdict is green", "verdict.json"))

MODEL = Stage("model", CLUSTER, (), "the model is what it was asked to be", folder="playbooks/day2")
KEY = Stage("key", CLUSTER, (), "every replica of the gateway knows the clients' keys", folder="playbooks/day2")
GC = Stage("gc", CLUSTER, (), "no weights are left that nothing needs", "gc.json", folder="playbooks/day2")

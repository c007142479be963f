"""Which of the collection's files are a role's own, and which scenarios play a role that has none of its own name."""

PLUGINS = {
    "gateway": ("module_utils/gateway", "module_utils/certificates", "modules/gateway_keys"),
    "gpu_operator": ("filter/operator", "module_utils/operator", "modules/gpu_operator"),
    "host": ("modules/files", "module_utils/units"),
    "inference": (
        "module_utils/inference",
        "module_utils/workloads",
        "module_utils/golden",
        "module_utils/promotion",
        "modules/model_rollout",
    ),
    "k3s_agent": ("module_utils/k3s",),
    "k3s_node": ("module_utils/k3s", "modules/k3s_state"),
    "k3s_server": ("module_utils/k3s",),
    "model_store": ("module_utils/store", "module_utils/store_hub"),
    "model_volume": ("module_utils/volumes",),
    "monitoring": (
        "module_utils/monitoring",
        "module_utils/prometheus_objects",
        "module_utils/scraping",
        "module_utils/targets",
        "module_utils/metrics",
    ),
    "node_labels": ("module_utils/nodes", "modules/node_labels"),
    "nvidia_driver": ("module_utils/driver", "module_utils/gpus", "modules/nvidia_driver", "modules/mok"),
    "preflight": ("module_utils/findings", "module_utils/checks", "modules/preflight"),
}
# Files that only hosts of another family run, and the scenario that has such a host.
BRANCHES = {"dnf.yml": ("rocky",)}
SCENARIOS = {"distribution": ("nfs_client",), "k3s_node": ("k3s_server", "k3s_agent")}

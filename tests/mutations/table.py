"""Which of the collection's files are a role's own, and which scenarios play a role that has none of its own name."""

PLUGINS = {
    "gpu_operator": ("filter/operator", "module_utils/operator", "modules/gpu_operator"),
    "host": ("modules/files", "module_utils/units"),
    "inference": ("module_utils/inference", "module_utils/workloads", "modules/golden_prompts"),
    "k3s_agent": ("module_utils/k3s",),
    "k3s_node": ("module_utils/k3s", "modules/k3s_state"),
    "k3s_server": ("module_utils/k3s",),
    "model_store": ("module_utils/store", "module_utils/store_hub"),
    "model_volume": ("module_utils/volumes",),
    "node_labels": ("module_utils/nodes", "modules/node_labels"),
    "nvidia_driver": ("module_utils/driver", "module_utils/gpus", "modules/nvidia_driver", "modules/mok"),
    "preflight": ("module_utils/findings", "module_utils/checks", "modules/preflight"),
}
# Files that only hosts of another family run, and the scenario that has such a host.
BRANCHES = {"dnf.yml": ("rocky",)}
SCENARIOS = {"distribution": ("nfs_client",), "k3s_node": ("k3s_server", "k3s_agent")}

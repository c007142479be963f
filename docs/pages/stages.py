"""The picture and the table of the stages."""

from html import escape

from pages import markdown
from rackstart.stages import STAGES, Stage

# Per stage, what answers in the lab: (real there, stands in there)
IN_THE_LAB = {
    "preflight": ("ssh, sudo, every check", ""),
    "host": ("apt, systemd, certificates", "modprobe: one shared kernel"),
    "storage": ("nfs-ganesha, NFSv3", "the kernel's NFS server"),
    "driver": ("apt, keys, held versions", "NVIDIA's packages, the GPUs"),
    "models": ("huggingface_hub, every digest", "the hub"),
    "control_plane": ("etcd, Kubernetes 1.34", "the k3s binary round them"),
    "nodes": ("kubelet, containerd, runc", "the k3s binary round them"),
    "labels": ("Kubernetes", ""),
    "gpu_operator": ("Helm, device plugin API", "the chart, the device plugin"),
    "volumes": ("PV, PVC, the kubelet's mounts", "mount.nfs"),
    "inference": ("vLLM 0.32, rollout, probes", "CUDA: it computes on CPU"),
    "gateway": ("HAProxy, TLS, network policies", "kube-router: nftables enforce"),
    "monitoring": ("Prometheus, its rules and targets", "DCGM's exporter is left out"),
    "verify": ("every gate", ""),
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 240, 84, 36, 34, 20


def levels() -> list[list[str]]:
    """The stages by level: a stage stands one below the lowest stage that it needs."""
    at: dict[str, int] = {}
    for stage in STAGES:
        at[stage.name] = 1 + max((at[name] for name in stage.after), default=-1)
    return [[name for name, level in at.items() if level == wanted] for wanted in range(max(at.values()) + 1)]


def needs(stage: Stage) -> list[str]:
    """The direct needs: those that no other need already implies."""
    after = {s.name: set(s.after) for s in STAGES}

    def reach(name: str) -> set[str]:
        return after[name] | set().union(*(reach(n) for n in after[name]), set())

    return [n for n in stage.after if not any(n in reach(other) for other in stage.after if other != n)]


def picture() -> str:
    rows = levels()
    width = 2 * MARGIN + max(map(len, rows)) * (WIDTH + GAP_X) - GAP_X
    at = {}
    for level, names in enumerate(rows):
        left = (width - len(names) * (WIDTH + GAP_X) + GAP_X) / 2
        at.update({name: (left + i * (WIDTH + GAP_X), MARGIN + level * (HEIGHT + GAP_Y)) for i, name in enumerate(names)})
    bottom = MARGIN + len(rows) * (HEIGHT + GAP_Y)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 20}" width="{width}" font-family="system-ui, sans-serif">',
        f'<rect width="{width}" height="{bottom + 20}" fill="#fff"/>',
    ]
    for stage in STAGES:
        x2, y2 = at[stage.name][0] + WIDTH / 2, at[stage.name][1]
        for name in needs(stage):
            x1, y1 = at[name][0] + WIDTH / 2, at[name][1] + HEIGHT
            middle = y2 - GAP_Y / 2
            path = f"M{x1} {y1} L{x1} {middle - GAP_Y / 2} C{x1} {middle} {x2} {middle} {x2} {y2}"
            out.append(f'<path d="{path}" fill="none" stroke="#9aa5b1" stroke-width="1.5"/>')
    for stage in STAGES:
        x, y = at[stage.name]
        real, stand_in = IN_THE_LAB[stage.name]
        out += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#f5f8fa" stroke="#334e68"/>',
            f'<text x="{x + 12}" y="{y + 24}" font-size="16" font-weight="600" fill="#102a43">{escape(stage.name)}</text>',
            f'<text x="{x + WIDTH - 12}" y="{y + 24}" font-size="12" text-anchor="end" fill="#627d98">{escape(stage.hosts)}</text>',
            f'<text x="{x + 12}" y="{y + 50}" font-size="12" fill="#1b7a43">● {escape(real)}</text>',
        ]
        if stand_in:
            out.append(f'<text x="{x + 12}" y="{y + 72}" font-size="12" fill="#b4540a">○ {escape(stand_in)}</text>')
    legend = bottom + 4
    out += [
        f'<text x="{MARGIN}" y="{legend}" font-size="13" fill="#1b7a43">● real in the embedded lab</text>',
        f'<text x="{MARGIN + 210}" y="{legend}" font-size="13" fill="#b4540a">○ stands in there; on a rack it is the real one</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def table() -> str:
    rows = [(f"[{s.name}](../playbooks/{s.name}.yml)", s.hosts, ", ".join(needs(s)) or "-", s.passed) for s in STAGES]
    return markdown.text(
        "# Stages",
        "",
        "Generated from `rackstart/stages.py` by `docs/generate.py`.",
        "Stages that need nothing of one another and share no host run at the same time.",
        "",
        *markdown.table(("stage", "hosts", "after", "passed means"), rows),
    )

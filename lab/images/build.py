"""Every container image of the lab, as the storage of a read-only registry."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.build import build
from lab.gpu_operator import build as gpu_operator
from lab.images import debian
from lab.images.modules import Module, compile_module
from lab.images.oci import Image, Storage
from lab.ollama import build as ollama
from lab.shell import run

HERE = Path(__file__).parent
COREDNS = Module(
    path="github.com/coredns/coredns", version="v1.14.4", sum="h1:cE2uZ7pdk7JmzS0nOTA+0DJ89ue9BBaWlJEozbHx/5s=", package=".",
    replace={"core/plugin/zplugin.go": HERE / "coredns/zplugin.go"},
)  # fmt: skip
HELM = Module(path="helm.sh/helm/v3", version="v3.19.5", sum="h1:l8zDGBhPaF2z5pTR5ASku/yZwi0qZrWthWMzvf1ZruE=", package="./cmd/helm")
# Module 0.313.3 is Prometheus 3.13.3; of what finds targets only Kubernetes is built in, by its own tags. It has no pages to look at.
PROMETHEUS, PROMTOOL = (
    Module(
        path="github.com/prometheus/prometheus", version="v0.313.3", sum="h1:r/8xzZOJnZkYbTetV/T87kxCtwp/XIGxuaC3vFOXuuw=",
        package=f"./cmd/{name}", tags="remove_all_sd,enable_kubernetes_sd",
    )
    for name in ("prometheus", "promtool")
)  # fmt: skip


def artifact() -> Path:
    """The registry's root directory: docker/registry/v2/ for docker-registry to serve, and images.json {reference: digest}."""
    programs = {
        "coredns": _program(COREDNS),
        "helm": _program(HELM),
        "operator": gpu_operator.artifact(),
        "prometheus": _program(PROMETHEUS),
    }
    parts = {"debian": debian.artifact(), "haproxy": debian.haproxy(), "ollama": ollama.artifact(), **programs}

    def make(out: Path) -> None:
        storage, digests = Storage(out), {}
        for image in _images(parts, out / "roots"):
            digests[image.reference] = storage.add(image)
        shutil.rmtree(out / "roots")
        (out / "images.json").write_text(json.dumps(digests, indent=2) + "\n")

    inputs = [HERE / name for name in ("build.py", "oci.py", "klipper-helm", "vllm")]
    return build("images", inputs, {name: path.name for name, path in parts.items()}, make)


def promtool() -> Path:
    """The program of the same Prometheus that checks its files."""
    return _program(PROMTOOL) / "program"


def prometheus() -> Path:
    return _program(PROMETHEUS) / "program"


def _images(parts: dict[str, Path], roots: Path) -> Iterator[Image]:
    tools = parts["debian"] / "tools"
    pause = _root(roots / "pause", {"pause": tools / "usr/bin/catatonit"})
    yield Image("docker.io/rancher/mirrored-pause:3.6", pause, ["/pause", "-P"], user="65535:65535")

    coredns = _root(roots / "coredns", {"coredns": parts["coredns"] / "program"})
    yield Image("docker.io/rancher/mirrored-coredns-coredns:1.14.4", coredns, ["/coredns"])

    busybox = _busybox(_root(roots / "busybox", {"bin/busybox": tools / "bin/busybox"}))
    yield Image("docker.io/library/busybox:1.37.0", busybox, [], command=["sh"])

    files = {"bin/busybox": tools / "bin/busybox", "usr/bin/helm": parts["helm"] / "program", "usr/bin/entry": HERE / "klipper-helm/entry"}
    klipper = _busybox(_root(roots / "klipper-helm", files))
    yield Image("docker.io/rancher/klipper-helm:v0.9.14-build20260210", klipper, ["entry"], user="1000", env={"HOME": "/home/klipper-helm"})

    files = {"bin/busybox": tools / "bin/busybox", "usr/bin/gpu-operator": parts["operator"] / "gpu-operator"}
    operator = _busybox(_root(roots / "gpu-operator", files))
    for tool in ("vectorAdd", "nvidia-smi"):
        (operator / "usr/bin" / tool).symlink_to("gpu-operator")
    for reference in ("nvcr.io/nvidia/gpu-operator:v26.7.0", "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"):
        yield Image(reference, operator, ["gpu-operator"], user="65532:65532")

    gateway = shutil.copytree(parts["haproxy"] / "root", roots / "haproxy", symlinks=True)
    (gateway / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nhaproxy:x:99:99::/var/lib/haproxy:/bin/false\n")
    yield Image("docker.io/library/haproxy:3.0.28", gateway, ["haproxy", "-W", "-db"], user="99:99", stop_signal="SIGUSR1")

    watcher = _root(roots / "prometheus", {"bin/prometheus": parts["prometheus"] / "program"})
    yield Image("docker.io/prom/prometheus:v3.13.3", watcher, ["prometheus"], user="65534:65534")

    engine = shutil.copytree(parts["debian"] / "engine", roots / "vllm", symlinks=True)
    _root(engine, {f"usr/bin/{name}": HERE / "vllm" / name for name in ("vllm", "python3")})
    (engine / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nvllm:x:2000:0:vLLM:/tmp:/bin/sh\n")
    (engine / "etc/group").write_text("root:x:0:vllm\n")
    yield Image("docker.io/vllm/vllm-openai:v0.32.0", engine, ["vllm", "serve"], user="2000:0", env={"HOME": "/tmp"})

    server = shutil.copytree(parts["debian"] / "ollama", roots / "ollama", symlinks=True)
    yield Image("docker.io/ollama/ollama:0.17.4", _root(server, {"usr/bin/ollama": parts["ollama"] / "ollama"}), ["ollama"], ["serve"])


def _root(root: Path, files: dict[str, Path]) -> Path:
    """Copies of files in a root directory, by their path there."""
    for target, source in files.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / target)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    return root


def _busybox(root: Path) -> Path:
    for applet in run([root / "bin/busybox", "--list"]).split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    return root


def _program(module: Module) -> Path:
    def make(out: Path) -> None:
        compile_module(module, out / "program")

    inputs = [HERE / "modules.py", *module.replace.values()]
    params = {"module": f"{module.path}@{module.version}", "package": module.package, "tags": module.tags}
    return build(module.path.split("/")[1], inputs, params, make)

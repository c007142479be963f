"""Files of Debian packages for the images: unpacked, not configured."""

import shutil
from pathlib import Path

from lab import packages
from lab.build import build
from lab.shell import run

TOOLS = ["busybox-static", "catatonit"]
ENGINE = ["coreutils", "dash", "libgomp1", "libnuma1", "libstdc++6", "util-linux"]  # what lab/engine needs of an image; vLLM calls lscpu
OLLAMA = ["bash", "coreutils", "libstdc++6", "sed"]  # bash, which probes use, is in Ollama's own image too
LEFT_OUT = ["/usr/share/*", "/usr/lib/systemd/*", "/usr/lib/x86_64-linux-gnu/gconv/*", "/var/*"]


def artifact() -> Path:
    """A directory with `tools`, `engine` and `ollama`, small root file systems without device nodes."""

    return _unpacked("image-debian", {"tools": TOOLS, "engine": ENGINE, "ollama": OLLAMA})


def haproxy() -> Path:
    """The same with a `root` that has HAProxy of Debian 13, of branch 3.0 as upstream's image, and the libraries that it needs."""
    return _unpacked("image-haproxy", {"root": ["base-files", "haproxy"]}, "trixie")


def _unpacked(name: str, roots: dict[str, list[str]], suite: str = "bookworm") -> Path:
    def make(out: Path) -> None:
        packages.ensure(["debian-archive-keyring", "mmdebstrap"])
        exclude = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        for folder, include in roots.items():
            root = out / folder
            options = ["--mode=root", "--variant=extract", "--format=directory", *exclude, f"--include={','.join(include)}"]
            run(["mmdebstrap", *options, suite, root])
            shutil.rmtree(root / "dev")  # a container gets its devices from its runtime

    return build(name, [Path(__file__)], {}, make)

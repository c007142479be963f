"""The real Ollama, server and runner with its CPU backend, out of its Go module."""

from dataclasses import replace
from pathlib import Path

from lab import packages
from lab.build import build
from lab.images import modules
from lab.images.modules import Module, compile_module, download

OLLAMA = Module(
    path="github.com/ollama/ollama", version="v0.17.4", sum="h1:X3KNm9x4BlHqk/AXMGtC7pBAFd46nmJmy8yDaBZLo9s=", package=".",
)  # fmt: skip
# The module leaves out headers that its C++ includes: Debian has two of them, this module the third.
MINIAUDIO = Module(
    path="github.com/gen2brain/malgo", version="v0.11.24", sum="h1:hHcIJVfzWcEDHFdPl5Dl/CUSOjzOleY0zzAV8Kx+imE=", package="."
)
HEADERS = ["libstb-dev", "nlohmann-json3-dev"]


def artifact() -> Path:
    """A directory with `ollama`, which needs glibc and libstdc++; takes seven minutes the first time."""

    def make(out: Path) -> None:
        packages.ensure(["g++", "libc6-dev", *HEADERS])
        header = {"llama/llama.cpp/tools/mtmd/miniaudio/miniaudio.h": download(MINIAUDIO) / "miniaudio.h"}
        compile_module(replace(OLLAMA, replace=header), out / "ollama", cgo=True)

    return build("ollama", [Path(__file__), Path(modules.__file__)], {}, make)

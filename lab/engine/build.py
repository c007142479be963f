"""The engine of the lab: vLLM for CPUs with its own Python in one directory that runs wherever it is mounted."""

import re
import shutil
import sys
from pathlib import Path

from lab import packages
from lab.build import build
from lab.engine import cuda_stubs
from lab.shell import run

HERE = Path(__file__).parent
VERSION = "0.32.0"
PYTHON = Path("/usr/bin/python3.11")  # Debian's: built with profiles, and the one the hosts have
UNNEEDED = ["__pycache__", "test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "config-*", "*-packages", "sitecustomize.py"]
GLIBC = re.compile(r"(ld-linux|lib(c|dl|m|pthread|resolv|rt|util)\.so)")
INSPECT = "from vllm.model_executor.models.registry import ModelRegistry as r; r.models['LlamaForCausalLM'].inspect_model_cls()"


def artifact() -> Path:
    """DIR with bin/vllm, bin/python, python/, vllm/ (site-packages) and modelinfos/; downloads 1 GB the first time."""
    packages.ensure(["binutils", "gcc", "libc6-dev", PYTHON.name])
    inputs = [HERE / name for name in ("build.py", "cuda_stubs.py", "requirements.lock", "sitecustomize.py", "bin")]
    return build("engine", inputs, {}, _make)


def _make(out: Path) -> None:
    shutil.copytree(HERE / "bin", out / "bin")
    _python(out / "python")
    _packages(out / "vllm")
    python = out / "bin/python"
    # unchecked: the sources next to them never change, and looking costs time at every start
    compileall = [python, "-m", "compileall", "-q", "-j", "2", "-x", "py312", "--invalidation-mode", "unchecked-hash"]
    run([*compileall, out / "python/lib", out / "vllm"])
    run(["env", f"VLLM_CACHE_ROOT={out}", python, "-c", INSPECT])  # writes modelinfos/, and shows that vLLM can be imported


def _python(out: Path) -> None:
    """The interpreter, its library and the shared libraries it needs besides glibc, which every image has."""
    (out / "bin").mkdir(parents=True)
    shutil.copy(PYTHON, out / "bin")
    shutil.copytree(f"/usr/lib/{PYTHON.name}", out / "lib" / PYTHON.name, ignore=shutil.ignore_patterns(*UNNEEDED))
    for program in (out / "bin" / PYTHON.name, *(out / "lib" / PYTHON.name / "lib-dynload").glob("*.so")):
        for name, path in re.findall(r"(\S+) => (/\S+)", run(["ldd", program])):
            if not GLIBC.match(name):
                shutil.copy(path, out / "lib" / name)


def _packages(out: Path) -> None:
    """site-packages exactly as locked, less what only developers of torch read."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--python-version=3.11"]
    run([*pip, "--require-hashes", f"--requirement={HERE / 'requirements.lock'}", f"--target={out}"])
    for directory in ("bin", "torch/include"):
        shutil.rmtree(out / directory)
    shutil.copy(HERE / "sitecustomize.py", out)
    cuda_stubs.make(out / "torch/lib")
    # vLLM asks for the version of a distribution of this name; "+cpu" makes it choose its CPU platform
    metadata = out / f"vllm-{VERSION}+cpu.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")

"""Stand-ins for the CUDA libraries that torch is linked with: they load, and abort when called, which nothing does on a CPU."""

import re
from collections import defaultdict
from pathlib import Path

from lab.shell import run

# library file names by the prefix of their symbols, for those whose symbols carry no version that names the library
PREFIXES = {"nccl": "libnccl.so.2", "cuFile": "libcufile.so.0", "cusparseLt": "libcusparseLt.so.0"}
VERSIONS = {"NVSHMEM": "libnvshmem_host.so.3"}
REAL = ("libcudart.so", "libcuda.so")  # the runtime is installed; the driver's library comes with a driver only


def make(libraries: Path) -> None:
    """Put a stand-in for each missing CUDA library beside torch's own libraries."""
    needed, symbols = set(), defaultdict(set)
    for library in libraries.glob("*.so"):
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", run(["readelf", "--dynamic", "--wide", library])))
        for name, version in re.findall(r" [Uw] (\w+)(?:@(\S+))?", run(["nm", "--dynamic", "--undefined-only", library])):
            symbols[_owner(name, version)].add((name, version))
    for library in sorted(needed):
        if re.match(r"lib(cu|nccl|nvrtc|nvshmem)", library) and not library.startswith(REAL):
            _compile(libraries / library, sorted(symbols[library]))


def _owner(name: str, version: str) -> str:
    if version:
        return VERSIONS.get(version, version)
    return next((library for prefix, library in PREFIXES.items() if name.startswith(prefix)), "")


def _compile(library: Path, symbols: list[tuple[str, str]]) -> None:
    script = library.with_suffix(".map")
    script.write_text("".join(f"{version} {{ global: *; }};\n" for version in {version for _, version in symbols if version}))
    source = "void abort(void);\n" + "".join(f"void {name}(void) {{ abort(); }}\n" for name, _ in symbols)
    options = [f"-Wl,--soname={library.name}", *([f"-Wl,--version-script={script}"] if script.stat().st_size else [])]
    run(["gcc", "-shared", "-fno-builtin", "-x", "c", "-o", library, *options, "-"], stdin=source)
    script.unlink()

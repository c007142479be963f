"""The GPU Operator's stand-in: its binary and its chart."""

import gzip
import io
import tarfile
from pathlib import Path

from lab.build import build
from lab.images.modules import go_build

HERE = Path(__file__).parent
CHART = "gpu-operator-v26.7.0.tgz"


def artifact() -> Path:
    """A directory with `gpu-operator`, the static binary of the images, and the chart's archive."""

    def make(out: Path) -> None:
        go_build(HERE, ".", out / "gpu-operator")
        (out / CHART).write_bytes(_chart())

    inputs = [*sorted(HERE.glob("*.go")), *(HERE / name for name in ("build.py", "go.mod", "go.sum", "chart"))]
    return build("gpu-operator", inputs, {}, make)


def _chart() -> bytes:
    """A Helm package, the same bytes on every build."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in sorted((HERE / "chart").rglob("*")):
            if file.is_file():
                member = tarfile.TarInfo(f"gpu-operator/{file.relative_to(HERE / 'chart')}")
                member.size, member.mode = file.stat().st_size, 0o644
                archive.addfile(member, io.BytesIO(file.read_bytes()))
    return gzip.compress(buffer.getvalue(), mtime=0)

"""The lab's HAProxy as a plain process of this machine."""

from pathlib import Path

from lab.images import debian


def command(configuration: Path) -> list[str | Path]:
    """It is started by the loader beside it, since its libraries are a newer Debian's than the machine's.

    Without the master process (-W) that a pod has, which starts itself again without that loader.
    """
    root = debian.haproxy() / "root/usr"
    loader = [root / "lib64/ld-linux-x86-64.so.2", "--library-path", root / "lib/x86_64-linux-gnu"]
    return [*loader, root / "sbin/haproxy", "-db", "-f", configuration]

"""The Debian packages that the mirror host needs beyond the lab's root, fetched once: no start of the mirror waits for an archive."""

from pathlib import Path

from lab.build import build
from lab.root import build as root
from lab.shell import run

NAMES = ["docker-registry", "nginx-light"]


def artifact() -> Path:
    """A directory of .deb files: NAMES and what they depend on that the root does not have."""
    base = root.artifact()

    def make(out: Path) -> None:
        (out / "state/lists/partial").mkdir(parents=True)
        (out / "cache/archives/partial").mkdir(parents=True)
        # apt on this machine, made to see the root's sources, keys and installed packages
        settings = {
            "Dir::Etc": base / "etc/apt",
            "Dir::Etc::TrustedParts": base / "etc/apt/trusted.gpg.d",
            "Dir::State": out / "state",
            "Dir::State::Status": base / "var/lib/dpkg/status",
            "Dir::Cache": out / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "--quiet", "--yes", *(f"--option={name}={value}" for name, value in settings.items())]
        run([*apt, "update"])
        run([*apt, "install", "--download-only", "--no-install-recommends", *NAMES])
        for package in (out / "cache/archives").glob("*.deb"):
            package.rename(out / package.name)
        run(["rm", "--recursive", out / "state", out / "cache"])

    return build("mirror-packages", [Path(__file__)], {"root": base.name}, make)

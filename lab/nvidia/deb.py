"""Packages and signed repositories for apt."""

import os
from pathlib import Path

from lab.shell import run

TOOLS = ["apt-utils", "gnupg"]
CONTROL = {
    "Architecture": "amd64", "Section": "misc", "Priority": "optional", "Maintainer": "Rackstart's lab <lab@rackstart.invalid>",
}  # fmt: skip


def package(name: str, fields: dict[str, str], root: Path, directory: Path) -> None:
    """Write NAME_VERSION_amd64.deb of the files in root, scripts in root/DEBIAN among them."""
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    lines = (f"{field}: {value}\n" for field, value in ({"Package": name} | CONTROL | fields).items())
    (root / "DEBIAN/control").write_text("".join(lines))
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, directory], env=os.environ | {"SOURCE_DATE_EPOCH": "0"})


def finish(directory: Path, owner: str, home: str) -> None:
    """Index the packages, and sign the index with the one key in gpg's home."""
    (directory / "Packages").write_text(run(["apt-ftparchive", "packages", "."], cwd=directory))
    run(["gzip", "--no-name", "--keep", "Packages"], cwd=directory)
    settings = [f"--option=APT::FTPArchive::Release::{field}={owner}" for field in ("Origin", "Label")]
    (directory / "Release").write_text(run(["apt-ftparchive", *settings, "release", "."], cwd=directory))
    gpg = ["gpg", "--homedir", home, "--batch", "--passphrase", ""]
    run([*gpg, "--clearsign", "--output", directory / "InRelease", directory / "Release"])
    run([*gpg, "--armor", "--detach-sign", "--output", directory / "Release.gpg", directory / "Release"])

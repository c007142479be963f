"""NVIDIA's package repositories for each distribution, and what Ubuntu's archive has of the driver, with stand-ins under the true names."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import yaml

from lab import packages
from lab.build import build
from lab.shell import run

HERE = Path(__file__).parent
CONTROL = {
    "Architecture": "amd64", "Section": "misc", "Priority": "optional", "Maintainer": "Rackstart's lab <lab@rackstart.invalid>",
}  # fmt: skip


def artifact() -> Path:
    """A directory to serve: HOST/PATH as upstream lays it out, with the keys."""
    kernel = os.uname().release
    words = {"KERNEL": kernel, "FLAVOUR": re.sub(r"^[^-]*-(\d+-)?", "", kernel)}

    def make(out: Path) -> None:
        packages.ensure(["apt-utils", "gnupg"])
        text = re.sub("|".join(words), lambda word: words[word[0]], (HERE / "packages.yml").read_text())
        for repository in yaml.safe_load(text).values():
            directory = out / repository["directory"]
            directory.mkdir(parents=True)
            for version in repository["versions"]:
                for name, fields in repository["packages"].items():
                    _package(name, {"Version": version} | fields, directory)
            _index(directory, repository["owner"])
            _sign(directory, repository["owner"], directory / repository["key"])

    return build("nvidia", [HERE / name for name in ("build.py", "models.json", "packages.yml", "packages")], words, make)


def _package(name: str, fields: dict[str, str], directory: Path) -> None:
    """Write one .deb: its files with @NUMBER@, in names too, replaced by the version without the packaging's revision."""
    fields = dict(fields)
    number = fields["Version"].rpartition("-")[0]
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        root = Path(scratch) / "root"
        source = HERE / "packages" / fields.pop("files", name)
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            target = root / str(file.relative_to(source)).replace("@NUMBER@", number)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text().replace("@NUMBER@", number))
            target.chmod(file.stat().st_mode & 0o755)
        control = {"Package": name} | CONTROL | fields | {"Description": f"{fields['Description']} (stand-in)"}
        (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
        lines = (f"{field}: {value}\n" for field, value in control.items())
        (root / "DEBIAN/control").write_text("".join(lines).replace("VERSION", fields["Version"]))
        run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, directory], env=os.environ | {"SOURCE_DATE_EPOCH": "0"})


def _index(directory: Path, owner: str) -> None:
    (directory / "Packages").write_text(run(["apt-ftparchive", "packages", "."], cwd=directory))
    run(["gzip", "--no-name", "--keep", "Packages"], cwd=directory)
    settings = [f"--option=APT::FTPArchive::Release::{field}={owner}" for field in ("Origin", "Label")]
    (directory / "Release").write_text(run(["apt-ftparchive", *settings, "release", "."], cwd=directory))


def _sign(directory: Path, owner: str, key_file: Path) -> None:
    """Sign with a key that is made here and forgotten; key_file gets its armoured public half."""
    home = tempfile.mkdtemp()  # a short path: that of gpg-agent's socket has a limit
    gpg = ["gpg", "--homedir", home, "--batch", "--passphrase", ""]
    try:
        run([*gpg, "--quick-generate-key", f"{owner} (stand-in of Rackstart's lab)", "ed25519", "sign", "never"])
        run([*gpg, "--clearsign", "--output", directory / "InRelease", directory / "Release"])
        run([*gpg, "--armor", "--detach-sign", "--output", directory / "Release.gpg", directory / "Release"])
        key_file.write_text(run([*gpg, "--armor", "--export"]))
    finally:
        run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])
        shutil.rmtree(home)

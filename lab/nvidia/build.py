"""NVIDIA's package repositories for each distribution, and what the roles need of the distributions' own: stand-ins under true names."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import yaml

from lab import packages
from lab.build import build
from lab.nvidia import deb, rpm
from lab.shell import run

HERE = Path(__file__).parent
FORMS = {"deb": deb, "rpm": rpm}
INPUTS = ["build.py", "deb.py", "rpm.py", "models.json", "packages.yml", "packages"]


def artifact() -> Path:
    """A directory to serve: HOST/PATH as upstream lays it out, with the keys."""
    kernel = os.uname().release
    words = {"KERNEL": kernel, "FLAVOUR": re.sub(r"^[^-]*-(\d+-)?", "", kernel)}

    def make(out: Path) -> None:
        packages.ensure(sorted({tool for form in FORMS.values() for tool in form.TOOLS}))
        text = re.sub("|".join(words), lambda word: words[word[0]], (HERE / "packages.yml").read_text())
        homes: dict[Path, str] = {}  # of gpg, by the file that the key is published in
        with ExitStack() as stack:
            for repository in yaml.safe_load(text).values():
                form, directory = FORMS[repository.get("form", "deb")], out / repository["directory"]
                directory.mkdir(parents=True)
                for name, fields in repository["packages"].items():
                    for version in fields.get("versions", repository["versions"]):
                        _package(form, name, {"Version": version} | fields, directory)
                published = (directory / repository["key"]).resolve()
                if published not in homes:
                    homes[published] = stack.enter_context(_key(repository["owner"], published))
                form.finish(directory, repository["owner"], homes[published])

    return build("nvidia", [HERE / name for name in INPUTS], words, make)


def _package(form: ModuleType, name: str, fields: dict[str, str], directory: Path) -> None:
    """Write one package: its files with @NUMBER@, in names too, replaced by the version without epoch and the packaging's revision."""
    version = fields["Version"]
    number = version.rpartition(":")[2].rpartition("-")[0]
    source = HERE / "packages" / fields.get("files", name)
    said = {field: value.replace("VERSION", version) for field, value in fields.items() if field not in ("files", "versions")}
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        root = Path(scratch) / "root"
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            inside = file.relative_to(source)
            if form is rpm and inside.parts[0] == "DEBIAN":
                continue
            target = root / str(inside).replace("@NUMBER@", number)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text().replace("@NUMBER@", number))
            target.chmod(file.stat().st_mode & 0o755)
        form.package(name, said | {"Description": f"{fields['Description']} (stand-in)"}, root, directory)


@contextmanager
def _key(owner: str, published: Path) -> Iterator[str]:
    """A home of gpg with a key that is made here and forgotten; its armoured public half is written."""
    home = tempfile.mkdtemp()  # a short path: that of gpg-agent's socket has a limit
    gpg = ["gpg", "--homedir", home, "--batch", "--passphrase", ""]
    try:
        run([*gpg, "--quick-generate-key", f"{owner} (stand-in of Rackstart's lab)", "rsa3072", "sign", "never"])
        published.write_text(run([*gpg, "--armor", "--export"]))
        yield home
    finally:
        run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])
        shutil.rmtree(home)

"""Signed packages and repositories for dnf."""

import os
from pathlib import Path

from lab.shell import run

TOOLS = ["createrepo-c", "gnupg", "rpm"]
RELATIONS = ("Requires", "Provides", "Conflicts")
SPEC = """\
Name: {name}
Epoch: {epoch}
Version: {version}
Release: {release}
Summary: {summary}
License: none
AutoReqProv: no
{relations}
%description
{summary}
%install
cp -a {root}/. %{{buildroot}}
%files
{files}
"""


def package(name: str, fields: dict[str, str], root: Path, directory: Path) -> None:
    """Write NAME-VERSION-RELEASE.x86_64.rpm of the files in root; a version is [EPOCH:]VERSION-RELEASE."""
    epoch, _, rest = fields["Version"].rpartition(":")
    version, _, release = rest.rpartition("-")
    root.mkdir(exist_ok=True)
    spec = root.with_suffix(".spec")
    text = SPEC.format(
        name=name, epoch=epoch or 0, version=version, release=release, summary=fields["Description"], root=root,
        relations="\n".join(f"{field}: {fields[field]}" for field in RELATIONS if field in fields),
        files="\n".join(f"/{file.relative_to(root)}" for file in sorted(root.rglob("*")) if file.is_file()),
    )  # fmt: skip
    spec.write_text(text)
    settings = {
        "_topdir": root.parent / "top", "_rpmdir": directory, "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_binary_payload": "w1.gzdio", "__os_install_post": "%{nil}", "debug_package": "%{nil}",
    }  # fmt: skip
    command = ["rpmbuild", "--quiet", "-bb", "--target=x86_64", *(f"--define={key} {value}" for key, value in settings.items()), spec]
    run(command, env=os.environ | {"SOURCE_DATE_EPOCH": "0"})


def finish(directory: Path, owner: str, home: str) -> None:
    """Sign the packages with the one key in gpg's home, and index them."""
    files = sorted(directory.glob("*.rpm"))
    run(["rpmsign", "--define=__gpg /usr/bin/gpg", f"--define=_gpg_name {owner}", f"--define=_gpg_path {home}", "--addsign", *files])
    run(["createrepo_c", "--quiet", "--simple-md-filenames", directory])

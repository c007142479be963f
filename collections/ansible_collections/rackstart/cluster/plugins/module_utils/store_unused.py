"""What of the store nothing needs: set aside by a rename, and removed once a second look at the cluster has found it unneeded still."""

from __future__ import annotations

import re
import shutil
import typing as t
from collections.abc import Iterator
from pathlib import Path

from . import store as shelf

ASIDE = ".unused"  # of the same file system as the revisions, so that a rename is all it takes
REVISION = re.compile(r"[0-9a-f]{40}$")
Needed = dict[str, str]  # directories below the store's root, with the reason
Entry = dict[str, t.Any]


def why(needed: Needed, revision: str) -> str:
    """Why a revision, as ORG/NAME/REVISION, is needed: itself, something in it or a directory round it; empty when it is not."""
    for path, reason in needed.items():
        if not path or f"{path}/".startswith(f"{revision}/") or f"{revision}/".startswith(f"{path}/"):
            return reason
    return ""


def revisions(root: Path) -> Iterator[str]:
    """ORG/NAME/REVISION of every revision below a directory; links lead elsewhere and are nobody's."""
    for place in sorted(root.glob("[!.]*/[!.]*/*")):
        if REVISION.match(place.name) and place.is_dir() and place.resolve() == root.resolve() / place.relative_to(root):
            yield str(place.relative_to(root))


def partial(store: Path, needed: Needed) -> list[Path]:
    """Downloads that were cut short, of revisions that nothing needs. Whoever holds the store's lock knows that none goes on."""
    known = {path.rpartition("/")[2] for path in needed}
    staged = sorted((store / shelf.STAGING).glob("*"))
    return [place for place in staged if REVISION.match(place.name) and place.is_dir() and place.name not in known]


def size(place: Path) -> int:
    """Bytes of all files in a directory."""
    return sum(path.lstat().st_size for path in place.rglob("*") if not path.is_dir() or path.is_symlink())


def found(store: Path, needed: Needed) -> list[Entry]:
    """Everything that is in the store, with its size and why it is kept (empty: it is not)."""
    entries = [{"what": name, "bytes": size(store / name), "why": why(needed, name)} for name in revisions(store)]
    aside = [{"what": name, "bytes": size(store / ASIDE / name), "why": why(needed, name)} for name in revisions(store / ASIDE)]
    cut = [{"what": f"{shelf.STAGING}/{place.name}", "bytes": size(place), "why": ""} for place in partial(store, needed)]
    return entries + [entry | {"what": f"{ASIDE}/{entry['what']}"} for entry in aside] + cut


def set_aside(store: Path, needed: Needed) -> None:
    """Take every revision that nothing needs from its place. Whoever has it mounted can read on."""
    for name in [name for name in revisions(store) if not why(needed, name)]:
        target = store / ASIDE / name
        if target.exists():
            _remove(target)  # of a former time that was cut short
        target.parent.mkdir(parents=True, exist_ok=True)
        (store / name).rename(target)
        _tidy(store, name)


def settle(store: Path, needed: Needed) -> None:
    """Put back what was set aside and is needed after all, and remove the rest."""
    for name in list(revisions(store / ASIDE)):
        place, aside = store / name, store / ASIDE / name
        if why(needed, name) and not place.exists() and (aside / shelf.MANIFEST).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(place)
            continue
        if not place.exists():
            shelf.record_path(store, *name.rsplit("/", 1)).unlink(missing_ok=True)
        _remove(aside)
        _tidy(store / ASIDE, name)
    for place in partial(store, needed):
        shutil.rmtree(place)


def _remove(aside: Path) -> None:
    """The manifest goes first: what has none is never put back."""
    (aside / shelf.MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(aside)


def _tidy(root: Path, name: str) -> None:
    """Remove ORG/NAME and ORG when nothing is left in them."""
    for parent in list(Path(name).parents)[:-1]:
        if any((root / parent).iterdir()):
            return
        (root / parent).rmdir()

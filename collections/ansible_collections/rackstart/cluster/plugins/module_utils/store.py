"""The model store: STORE/ORG/NAME/REVISION/ with a manifest, published by one rename, and from then on verified and, if damaged, mended.

Verification is cheap and still finds a flipped byte: at publication the size, mtime, ctime and inode of every file are recorded. A file
whose record still fits was not written to (ctime cannot be set back), any other is hashed and compared with the manifest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

MANIFEST = "MANIFEST.sha256"
STAGING = ".staging"
RECORDS = ".records"
# Beside safetensors a repository often holds the same weights in other formats, which double the download and are never read.
DUPLICATES = ("*.bin", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.onnx_data", "*.tflite", "original/*")
FILE_MODE, DIRECTORY_MODE = 0o644, 0o755  # readers are other users on other hosts, and root is squashed


class StoreError(Exception):
    """Why a revision could not be published; written for a person, with what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub lists it: path, size in bytes, SHA-256 (LFS) or else git's SHA-1 of the blob."""

    path: str
    size: int
    sha256: str | None
    blob_sha1: str


@dataclass
class Inspection:
    """What is at a revision's place: absent, or the damage found (empty when whole) and the entries with wrong permissions."""

    published: bool = False
    damage: list[str] = field(default_factory=list)
    modes: list[Path] = field(default_factory=list)


def served(files: list[RemoteFile], chosen: Collection[str] = ()) -> list[RemoteFile]:
    """The files worth storing: of the weights those that are chosen, else all but duplicates of what is there as safetensors."""
    if chosen:
        others = ("*.safetensors", *DUPLICATES)
        return [file for file in files if file.path in chosen or not any(fnmatch(file.path, pattern) for pattern in others)]
    if not any(file.path.endswith(".safetensors") for file in files):
        return files
    return [file for file in files if not any(fnmatch(file.path, pattern) for pattern in DUPLICATES)]


@contextmanager
def locked(store: Path, patience: float) -> Iterator[None]:
    """Hold the store alone. The lock goes with the process, however that ends."""
    (store / STAGING).mkdir(parents=True, exist_ok=True)
    with (store / STAGING / ".lock").open("w") as handle:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    busy = f"another run has been writing {store} for more than {patience:.0f} s"
                    raise StoreError(f"{busy}; see who: fuser -v {handle.name}") from None
                time.sleep(1)
        yield


def directory(store: Path, repo: str, revision: str) -> Path:
    """Where a revision is published."""
    return store / repo / revision


def digests(path: Path) -> tuple[str, str]:
    """SHA-256 of a file's content and SHA-1 of it as a git blob, in one read."""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
            sha1.update(chunk)
    return sha256.hexdigest(), sha1.hexdigest()


def compare(path: Path, file: RemoteFile) -> tuple[str, str | None]:
    """SHA-256 of a downloaded file, and how it differs from what the hub lists (None when it does not)."""
    size = path.stat().st_size
    if size != file.size:
        return "", f"{file.path} has {size} bytes, the hub lists {file.size}"
    sha256, sha1 = digests(path)
    kind, expected, seen = ("sha256", file.sha256, sha256) if file.sha256 else ("git blob sha1", file.blob_sha1, sha1)
    return sha256, None if seen == expected else f"{file.path} has {kind} {seen}, the hub lists {expected}"


def manifest(sums: dict[str, str]) -> str:
    """Text of a manifest, in the form of `sha256sum --check`."""
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums))


def parse_manifest(content: str) -> dict[str, str]:
    """SHA-256 by path; raises ValueError when the text is no manifest."""
    sums = {}
    for line in content.splitlines():
        digest, separator, path = line.partition("  ")
        if not separator or len(digest) != 64:
            raise ValueError(line)
        sums[path] = digest
    return sums


def entries(place: Path) -> dict[str, Path]:
    """Everything below a directory that is not a directory, by relative path, the manifest left out."""
    found = {str(path.relative_to(place)): path for path in place.rglob("*") if not path.is_dir() or path.is_symlink()}
    found.pop(MANIFEST, None)
    return found


def _fingerprint(path: Path) -> list[int]:
    stat = path.lstat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def record_path(store: Path, repo: str, revision: str) -> Path:
    return store / RECORDS / repo / f"{revision}.json"


def _record(place: Path, found: dict[str, Path]) -> dict:
    manifest_sha256 = hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest()
    return {"manifest_sha256": manifest_sha256, "files": {name: _fingerprint(path) for name, path in sorted(found.items())}}


def write_record(store: Path, repo: str, revision: str) -> None:
    """Remember what a whole revision looks like, so that the next verification need not read it."""
    place, path = directory(store, repo, revision), record_path(store, repo, revision)
    content = json.dumps(_record(place, entries(place)))
    if not path.exists() or path.read_text() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)


def inspect(store: Path, repo: str, revision: str, full: bool = False, chosen: Collection[str] = ()) -> Inspection:
    """Verify a published revision against its manifest, hashing only what was touched since the record (everything with `full`)."""
    place = directory(store, repo, revision)
    if not place.is_dir():
        return Inspection()
    result = Inspection(published=True)
    try:
        sums = parse_manifest((place / MANIFEST).read_text())
    except (OSError, ValueError):
        result.damage.append(f"{MANIFEST} is missing or unreadable")
        return result
    try:
        record = json.loads(record_path(store, repo, revision).read_text())
    except (OSError, ValueError):
        record = {"files": {}}
    found = entries(place)
    if record.get("manifest_sha256") not in (None, hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest()):
        result.damage.append(f"{MANIFEST} was altered after publication")
    result.damage += [f"{name} is not published yet" for name in sorted(set(chosen) - sums.keys())]
    result.damage += [f"{name} is missing" for name in sorted(sums.keys() - found.keys())]
    result.damage += [f"{name} does not belong to the revision" for name in sorted(found.keys() - sums.keys())]
    for name in sorted(sums.keys() & found.keys()):
        if not full and record["files"].get(name) == _fingerprint(found[name]):
            continue
        seen = digests(found[name])[0] if found[name].is_file() and not found[name].is_symlink() else "none, it is no file"
        if seen != sums[name]:
            result.damage.append(f"{name} has sha256 {seen}, the manifest says {sums[name]}")
    result.modes = _wrong_modes(place)
    return result


def _wrong_modes(place: Path) -> list[Path]:
    wanted = {path: DIRECTORY_MODE if path.is_dir() else FILE_MODE for path in (place, *place.rglob("*")) if not path.is_symlink()}
    return [path for path, mode in wanted.items() if path.stat().st_mode & 0o7777 != mode]


def open_modes(place: Path) -> None:
    """Let every reader in: directories 0755, files 0644."""
    for path in _wrong_modes(place):
        path.chmod(DIRECTORY_MODE if path.is_dir() else FILE_MODE)


def write_durably(path: Path, content: str) -> None:
    """Write a file so that after a power loss it is there as a whole or as it was."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(content)
    flush(temporary)
    temporary.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """fsync of a file or directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(store: Path, repo: str, revision: str, staged: Path, sums: dict[str, str]) -> None:
    """Make a complete, verified staging directory the published revision: manifest, modes, fsync of everything, one rename."""
    (staged / MANIFEST).write_text(manifest(sums))
    open_modes(staged)
    for path in (*staged.rglob("*"), staged):
        flush(path)
    place = directory(store, repo, revision)
    for parent in reversed(place.relative_to(store).parents[:-1]):
        (store / parent).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        (store / parent).chmod(DIRECTORY_MODE)
        flush((store / parent).parent)
    if place.is_dir():
        _mend(place, staged)
    else:
        staged.rename(place)
        flush(place.parent)
    write_record(store, repo, revision)


def _mend(place: Path, staged: Path) -> None:
    """Make a damaged publication what is staged, file by file: pods have its directory mounted, and another one would be stale to them."""
    wanted = {path.relative_to(staged): path.is_dir() for path in sorted(staged.rglob("*"))}
    for path in sorted(place.rglob("*"), reverse=True):  # what is in a directory before the directory
        directory = path.is_dir() and not path.is_symlink()
        if wanted.get(path.relative_to(place)) is not directory:
            path.rmdir() if directory else path.unlink()
    for path, directory in wanted.items():
        if directory:
            (place / path).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        else:
            (staged / path).replace(place / path)
    open_modes(place)
    for path in (place, *(path for path in place.rglob("*") if path.is_dir())):
        flush(path)
    shutil.rmtree(staged)

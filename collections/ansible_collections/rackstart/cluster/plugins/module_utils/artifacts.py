"""What artifacts.yml declares and artifacts.lock.yml pins: addresses, whom to trust there, and digests that must be there before use."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Per kind: the fields whose values in the lock must still equal those declared, and the digests that only the lock knows.
_LOCKED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "files": (("version", "url"), ("sha256",)),
    "charts": (("version", "url"), ("sha256",)),
    "images": (("reference",), ("digest",)),
    "repositories": (("key",), ("sha256", "fingerprint")),
    "hubs": ((), ()),
}
KINDS = tuple(_LOCKED)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*._-]+)(:\d+)?")


class ArtifactError(Exception):
    """An artifact that may not be used; the message says which, why and what to run."""


def mirrored(url: str, mirror: str) -> str:
    """Address of an upstream URL on a mirror that keeps host and path (https://HOST/PATH -> MIRROR/HOST/PATH); unchanged without one."""
    if not mirror:
        return url
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}{'?' + parts.query if parts.query else ''}"


def trust(context: ssl.SSLContext, files: list[str]) -> None:
    """Add the authorities of cluster_ca_certificates to those that a context trusts. Raises ArtifactError."""
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise ArtifactError(
            "cluster_ca_certificates is no list of paths; write [PATH, ...], each a PEM file on this machine, by its whole path"
        )
    for file in files:
        try:
            context.load_verify_locations(Path(file).expanduser())
        except (OSError, RuntimeError) as error:  # the latter for a ~USER that is not there
            remedy = "name PEM files on this machine, by their whole paths"
            raise ArtifactError(f"cluster_ca_certificates names {file}: {getattr(error, 'strerror', '') or error}; {remedy}") from None


def login_problem(logins: Any) -> str:
    """What is wrong with the form of cluster_registry_auth, by host and without any of its values; empty when nothing is."""
    if not isinstance(logins, dict):
        return "it is no mapping"
    wrong = [  # a key that is no host may be a login that was misplaced
        host if _HOST.fullmatch(str(host)) else f"entry {number}"
        for number, (host, login) in enumerate(logins.items(), 1)
        if not isinstance(login, dict)
        or set(login) != {"username", "password"}
        or not all(isinstance(text, str) for text in login.values())
    ]
    return f"wrong for {', '.join(map(str, wrong))}" if wrong else ""


def advised(problem: str) -> str:
    """Why nothing was got from an address, and what to do where nobody here knows the authority of its certificate."""
    unknown = re.search(r"CERTIFICATE_VERIFY_FAILED.*(issuer|self.signed)", problem)
    return problem + ("; name the PEM file of its authority in cluster_ca_certificates" if unknown else "")


def problem(declared: dict[str, Any], lock: dict[str, Any], kind: str, name: str) -> str | None:
    """Why the artifact cannot be used as declared and locked, or None."""
    if kind not in _LOCKED:
        return f"unknown kind {kind!r}; there are {', '.join(KINDS)}"
    entry = (declared.get(kind) or {}).get(name)
    if entry is None:
        return f"{kind}.{name} is not declared in artifacts.yml"
    same, digests = _LOCKED[kind]
    locked = (lock.get(kind) or {}).get(name) or {}
    if any(not locked.get(field) for field in digests):
        return f"{kind}.{name} is not locked"
    for field in same:
        if locked.get(field) != entry[field]:
            return f"{kind}.{name} is locked with {field} {locked.get(field)!r}, but artifacts.yml says {entry[field]!r}"
    return None


def problems(declared: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    """Every declared artifact that cannot be used."""
    found = (problem(declared, lock, kind, name) for kind in KINDS for name in declared.get(kind) or {})
    return [text for text in found if text]


def resolve(declared: dict[str, Any], lock: dict[str, Any], kind: str, name: str, mirror: str = "") -> dict[str, str]:
    """What a role needs to fetch and verify one artifact.

    files, charts: version, url (on the mirror), upstream, sha256. images: reference, digest, pinned (reference@digest).
    repositories: url, key_url (on the mirror), key_sha256. hubs: url. Raises ArtifactError.
    """
    text = problem(declared, lock, kind, name)
    if text:
        raise ArtifactError(text)
    entry = declared[kind][name]
    locked = (lock.get(kind) or {}).get(name) or {}
    if kind in ("files", "charts"):
        return {
            "version": str(entry["version"]),
            "url": mirrored(entry["url"], mirror),
            "upstream": entry["url"],
            "sha256": locked["sha256"],
        }
    if kind == "images":
        pinned = f"{entry['reference']}@{locked['digest']}"
        return {"reference": entry["reference"], "digest": locked["digest"], "pinned": pinned}
    if kind == "repositories":
        return {
            "url": mirrored(entry["url"], mirror),
            "key_url": mirrored(entry["key"], mirror),
            "key_sha256": locked["sha256"],
        }
    return {"url": mirrored(entry["url"], mirror)}


def resolve_all(declared: dict[str, Any], lock: dict[str, Any], kind: str, start: str, mirror: str = "") -> dict[str, dict[str, str]]:
    """resolve() of each declared artifact whose name begins with `start`, by the rest of its name. Raises ArtifactError."""
    names = [name for name in declared.get(kind) or {} if name.startswith(start)]
    return {name.removeprefix(start): resolve(declared, lock, kind, name, mirror) for name in names}

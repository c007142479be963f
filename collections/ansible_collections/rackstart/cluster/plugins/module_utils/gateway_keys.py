"""Clients' keys as the gateway holds them: a line of HAProxy's map for each, by the key's SHA-256. Pure functions.

A key is 256 bits of randomness behind a prefix, so that its hash needs neither salt nor stretching: there is nothing to guess from.
"""

from __future__ import annotations

import dataclasses
import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
SERVED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}")
HASH = re.compile(r"[0-9a-f]{64}")
EVERY_MODEL = "*"
OWN = "rackstart"  # the client that Rackstart itself is at every verdict


class KeyProblem(ValueError):
    """What was asked of the keys cannot be done; the message is for a person."""


@dataclasses.dataclass(frozen=True)
class Key:
    """One key. expires: seconds since 1970, 0 for never; rate: requests a minute, 0 for any; models: served names, none for every one."""

    sha256: str
    client: str
    expires: int = 0
    rate: int = 0
    models: tuple[str, ...] = ()
    created: int = 0

    def counts(self, now: int) -> bool:
        """Whether it is still accepted."""
        return not self.expires or self.expires > now


def line(key: Key) -> str:
    """HASH CLIENT|EXPIRES|RATE|,MODEL,MODEL,|CREATED; haproxy.cfg takes the fields apart by their place."""
    models = f",{','.join(key.models)}," if key.models else EVERY_MODEL
    return f"{key.sha256} {key.client}|{key.expires}|{key.rate}|{models}|{key.created}"


def text(keys: list[Key]) -> str:
    """The map's file."""
    return "".join(f"{line(key)}\n" for key in keys)


def read(content: str) -> list[Key]:
    """The keys of a map's file; raises KeyProblem for a line that is none."""
    found = []
    for number, entry in enumerate(content.splitlines(), 1):
        if not entry.strip() or entry.startswith("#"):
            continue
        try:
            sha256, value = entry.split()
            client, expires, rate, models, created = value.split("|")
            scope = () if models == EVERY_MODEL else tuple(models.strip(",").split(","))
            found.append(checked(Key(sha256, client, int(expires), int(rate), scope, int(created))))
        except ValueError as error:
            raise KeyProblem(f"line {number} of the keys is none: {error}") from error
    return found


def name_problem(client: str) -> str:
    """Why a client cannot be named so; empty when it can."""
    what = "up to 63 letters, digits, dots, underscores and dashes, of which the first is a letter or a digit"
    return "" if NAME.fullmatch(client) else f"{client!r} is no name of a client: {what}"


def checked(key: Key) -> Key:
    """The key itself, when nothing of it can be taken for something else in the map or in the gateway's log."""
    if not HASH.fullmatch(key.sha256):
        raise KeyProblem("a key's SHA-256 is 64 lower-case hexadecimal digits")
    if problem := name_problem(key.client):
        raise KeyProblem(problem)
    wrong = [model for model in key.models if not SERVED.fullmatch(model)]
    if wrong:
        raise KeyProblem(f"{wrong[0]!r} is no served name of a model")
    if min(key.expires, key.rate, key.created) < 0:
        raise KeyProblem("expires, rate and created are not negative")
    return key


def for_others(keys: list[Key]) -> bool:
    """Whether anybody but Rackstart itself has a key, be it one that has expired."""
    return any(key.client != OWN for key in keys)


def added(keys: list[Key], new: Key, now: int) -> list[Key]:
    """With a new client's key; those that have expired are left out."""
    if any(key.client == new.client and key.counts(now) for key in keys):
        raise KeyProblem(f"client {new.client} has a key: rotate it, or revoke it first")
    return [*(key for key in keys if key.counts(now)), checked(new)]


def revoked(keys: list[Key], client: str) -> list[Key]:
    """Without any key of a client."""
    left = [key for key in keys if key.client != client]
    if len(left) == len(keys):
        raise KeyProblem(f"no client {client} has a key; clients: {', '.join(sorted({key.client for key in keys})) or 'none'}")
    return left


def rotated(keys: list[Key], new: Key, overlap: int, now: int) -> list[Key]:
    """With a new key of a client; the one before it goes on for `overlap` seconds, and those before that end now.

    What new says nothing of (expires, rate, models) is as of the one before.
    """
    current = [key for key in keys if key.client == new.client and key.counts(now)]
    if not current:
        raise KeyProblem(f"client {new.client} has no key that still counts: add one")
    last = max(current, key=lambda key: key.created)
    ends = now + overlap if not last.expires else min(last.expires, now + overlap)
    kept = [dataclasses.replace(last, expires=ends)] if overlap else []
    new = dataclasses.replace(
        new,
        expires=new.expires or last.expires,
        rate=new.rate or last.rate,
        models=new.models or last.models,
        created=max(now, last.created + 1),
    )
    return [*(key for key in keys if key.client != new.client and key.counts(now)), *kept, checked(new)]


def ensured(keys: list[Key], own: Key) -> list[Key]:
    """With just one key of Rackstart's own client, which every verdict uses; the others as they are."""
    same = [key for key in keys if key.client == own.client]
    if [dataclasses.replace(key, created=0) for key in same] == [dataclasses.replace(own, created=0)]:
        return keys
    return [*(key for key in keys if key.client != own.client), checked(own)]

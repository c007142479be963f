"""Brings one pinned revision from the Hugging Face hub into the store, with the hub's own client."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from . import store as shelf
from .store import RemoteFile, StoreError

MARGIN = 256 << 20  # bytes to leave free on the store's file system
READ_ATTEMPTS = 6  # how often the client waits for data before it gives up
Result = TypeVar("Result")


class Refused(Exception):
    """The hub answered with an error status."""

    def __init__(self, status: int, retry_after: str | None, url: str) -> None:
        super().__init__(f"HTTP {status} for {url}")
        self.status = status
        self.retry_after = float(retry_after) if retry_after and retry_after.isdigit() else None


class Unavailable(Exception):
    """Nothing came of an exchange, but trying again may help, after `retry_after` seconds where the hub said so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Hub:
    """The hub at `endpoint`. A transfer may stall for `stall` seconds; the hub may refuse or be away for `patience` seconds on end."""

    def __init__(self, endpoint: str, token: str, stall: float, patience: float, log: Callable[[str], None]) -> None:
        os.environ.update(
            HF_ENDPOINT=endpoint,
            HF_HUB_DISABLE_XET="1",  # plain HTTP only: the one way that a mirror serves too
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
            HF_HUB_DOWNLOAD_TIMEOUT=str(max(1, int(stall / READ_ATTEMPTS))),
        )
        # Only now: the client reads its settings when it is imported.
        import httpx2
        import huggingface_hub.constants

        # Of files above 50 GB it refuses plain HTTP, which hub and mirrors serve all the same (huggingface/huggingface_hub#3868).
        huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE = float("inf")
        silence = max(1, stall / READ_ATTEMPTS)

        def refuse(response: httpx2.Response) -> None:
            if response.status_code >= 400:
                raise Refused(response.status_code, response.headers.get("Retry-After"), str(response.request.url).split("?")[0])

        def bound(request: httpx2.Request) -> None:
            # It lists files without any bound, whatever the client has; and tries that READ_ATTEMPTS times itself.
            request.extensions["timeout"] = {kind: seconds or silence for kind, seconds in request.extensions["timeout"].items()}

        # Errors come straight to us: the client would wait as long as a Retry-After asks for.
        hooks = {"request": [bound], "response": [refuse]}
        huggingface_hub.set_client_factory(lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=silence))
        self.endpoint, self.token, self.stall, self.patience, self.log = endpoint, token or False, stall, patience, log
        self.client, self.transport_error = huggingface_hub, httpx2.TransportError
        self.timeout_error = httpx2.TimeoutException

    def files(self, repo: str, revision: str, chosen: Collection[str]) -> list[RemoteFile]:
        """Every file of the revision that is worth storing."""
        api = self.client.HfApi(endpoint=self.endpoint, token=self.token)

        def listing() -> list[object]:
            try:
                return list(api.list_repo_tree(repo, recursive=True, revision=revision))
            except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
                raise Unavailable(f"the hub at {self.endpoint} answered what is no list of the files of {repo}: {error}") from error

        tree = self._patiently(repo, listing)
        listed = [entry for entry in tree if isinstance(entry, self.client.hf_api.RepoFile)]
        return shelf.served(
            [RemoteFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id) for entry in listed],
            chosen,
        )

    def download(self, repo: str, revision: str, file: RemoteFile, path: Path) -> None:
        """Fetch one file to `path`, going on where a former attempt or run stopped."""
        partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)

        def get() -> None:
            from huggingface_hub.file_download import http_get

            url = self.client.hf_hub_url(repo, file.path, revision=revision, endpoint=self.endpoint)
            headers = {**self.client.utils.build_hf_headers(token=self.token), "Accept-Encoding": "identity"}
            with partial.open("ab") as stream:
                if stream.tell() > file.size:
                    stream.truncate(0)
                http_get(url, stream, resume_size=stream.tell(), headers=headers, expected_size=file.size)

        try:
            self._patiently(repo, get, lambda: partial.stat().st_size if partial.exists() else 0)
        except OSError as error:
            if error.errno is not None:  # the disk's, not the client's
                raise
            partial.unlink(missing_ok=True)
            raise StoreError(f"{repo}: {error}") from error
        partial.rename(path)

    def _patiently(self, repo: str, action: Callable[[], Result], received: Callable[[], int] = lambda: 0) -> Result:
        def attempt() -> Result:
            try:
                return action()
            except self.timeout_error as error:
                silence = f"the hub at {self.endpoint} sent nothing for {self.stall:.0f} s ({repo})"
                raise StoreError(f"{silence}; look at it, then run again") from error
            except self.transport_error as error:
                raise Unavailable(f"the hub at {self.endpoint} cannot be reached: {error}") from error
            except Refused as error:
                raise judge(error, repo, bool(self.token)) from error

        return persist(attempt, self.patience, self.log, received)


def judge(refused: Refused, repo: str, token: bool) -> Exception:
    """What a refusal means: Unavailable when trying again may help, else StoreError."""
    if refused.status in (401, 403):
        who = "the token was refused" if token else "a token is needed"
        return StoreError(f"{refused}: {who}; set hub_token to one that may read {repo}, and accept the model's licence on its page")
    if refused.status == 404:
        return StoreError(f"{refused}: there is no such repository, revision or file; check repo and revision of {repo}")
    if refused.status in (408, 429) or refused.status >= 500:
        return Unavailable(f"the hub answered {refused}", refused.retry_after)
    return StoreError(f"the hub answered {refused}")


def persist(action: Callable[[], Result], patience: float, log: Callable[[str], None], received: Callable[[], int] = lambda: 0) -> Result:
    """Run `action` again while it finds the hub unavailable, for `patience` seconds at most; then raises StoreError.

    `received` counts bytes: when some came, the budget starts anew.
    """
    delay, since, before = 1.0, time.monotonic(), received()
    while True:
        try:
            return action()
        except Unavailable as error:
            if received() > before:
                delay, since, before = 1.0, time.monotonic(), received()
            pause = delay if error.retry_after is None else error.retry_after
            if time.monotonic() + pause - since > patience:
                raise StoreError(f"{error}; gave up: waiting {pause:.0f} s more would exceed the budget of {patience:.0f} s") from error
            log(f"{error}; trying again in {pause:.0f} s")
            time.sleep(pause)
            delay = min(60, delay * 2)


def stage(hub: Hub, store: Path, repo: str, revision: str, chosen: Collection[str] = ()) -> tuple[Path, dict[str, str]]:
    """Complete the revision's staging directory; returns it and the SHA-256 of every file. What is there already and right is kept.

    chosen: the weights to store, where not all of them are; what is published beside them stays, since pods may have it open.
    """
    staged = store / shelf.STAGING / revision
    staged.mkdir(parents=True, exist_ok=True)
    published = shelf.directory(store, repo, revision)
    files = {file.path: file for file in hub.files(repo, revision, {*chosen, *shelf.entries(published)} if chosen else ())}
    if not files:
        raise StoreError(f"revision {revision} of {repo} is empty")
    if unknown := sorted(set(chosen) - files.keys()):
        raise StoreError(f"revision {revision} of {repo} has no {', '.join(unknown)}; name a file that its page on the hub lists")
    _adopt(published, staged, files)
    (staged / shelf.MANIFEST).unlink(missing_ok=True)
    sums, partial = {}, 0
    for name, path in shelf.entries(staged).items():
        whole = name in files and not path.is_symlink() and shelf.compare(path, files[name])
        if whole and whole[1] is None:
            sums[name] = whole[0]
        elif name.removesuffix(".partial") in files:
            partial += path.stat().st_size
        else:
            path.unlink()
    todo = [file for name, file in files.items() if name not in sums]
    _require_space(store, sum(file.size for file in todo) - partial)
    for number, file in enumerate(todo, 1):
        hub.log(f"{repo}: file {number} of {len(todo)}, {file.path}, {file.size / 1e6:.1f} MB")
        path = staged / file.path
        path.unlink(missing_ok=True)
        hub.download(repo, revision, file, path)
        sums[file.path], wrong = shelf.compare(path, file)
        if wrong:
            path.unlink()
            raise StoreError(f"{repo}: {wrong}; deleted it, run again to fetch it anew")
    return staged, sums


def _adopt(published: Path, staged: Path, files: dict[str, RemoteFile]) -> None:
    """Link the files of a damaged publication into the staging directory: those that are right need not be fetched again."""
    for name in files:
        source, target = published / name, staged / name
        if source.is_file() and not source.is_symlink() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)


def _require_space(store: Path, size: int) -> None:
    free = shutil.disk_usage(store).free
    if size + MARGIN > free:
        wanted = (size + MARGIN) / 1e9
        raise StoreError(f"{store} has {free / 1e9:.1f} GB free, {wanted:.1f} GB are needed; make room or choose a smaller model")


def fetch(hub: Hub, store: Path, repo: str, revision: str, chosen: Collection[str] = ()) -> int:
    """Stage and publish one revision; returns its size in bytes."""
    staged, sums = stage(hub, store, repo, revision, chosen)
    size = sum((staged / name).stat().st_size for name in sums)
    shelf.publish(store, repo, revision, staged, sums)
    return size

"""Digests of outside things, read at their source: files, charts, images, keys of package repositories."""

import base64
import contextlib
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from rackstart.errors import ConfigurationError, RackstartError

_MANIFESTS = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json", "oci.image.manifest.v1+json",
        "docker.distribution.manifest.list.v2+json", "docker.distribution.manifest.v2+json",
    )
)  # fmt: skip
_HOSTS = {"docker.io": "registry-1.docker.io"}  # registries whose API is not at the name that references use


@dataclass
class Source:
    """Fetches artifacts through `address` (upstream URL -> URL to read).

    credentials: HOST or HOST:PORT -> {username, password}, for registries. trusted: whose certificates hold. Raises ConfigurationError.
    """

    address: Callable[[str], str]
    mirror: str = ""
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    trusted: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    tell: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        try:
            self._http = httpx.Client(follow_redirects=True, timeout=60, verify=self.trusted)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigurationError(f"the environment's http_proxy, https_proxy, all_proxy or no_proxy cannot be used: {error}") from None

    def file(self, entry: dict[str, Any]) -> dict[str, str]:
        """Lock entry of a file or chart, read once and hashed on the way. Raises RackstartError when the publisher says another sum."""
        digest = self._sha256(entry["url"])
        if listing := entry.get("checksums"):
            name = httpx.URL(entry["url"]).path.rpartition("/")[2]
            published = published_checksum(self._get(listing).text, name)
            if published is None:
                raise RackstartError(f"{listing} has no line for {name}")
            if published != digest:
                raise RackstartError(
                    f"checksum of {entry['url']} does not match:\n  published {published}\n  fetched   {digest}\nnothing of it was kept"
                )
        return {"version": str(entry["version"]), "url": entry["url"], "sha256": digest}

    def key(self, entry: dict[str, Any]) -> dict[str, str]:
        """Lock entry of a package repository: its one signing key."""
        data = self._get(entry["key"]).content
        found = fingerprints(data)
        if len(found) != 1:
            raise RackstartError(f"{entry['key']} holds {len(found)} keys; exactly one is expected")
        return {"key": entry["key"], "sha256": hashlib.sha256(data).hexdigest(), "fingerprint": found[0]}

    def image(self, entry: dict[str, Any]) -> dict[str, str]:
        """Lock entry of an image: the digest its registry gives for the tag."""
        host, _, rest = entry["reference"].partition("/")
        name, _, tag = rest.rpartition(":")
        if not name or "." not in host:
            raise RackstartError(f"image {entry['reference']}: write it in full, HOST/NAME:TAG")
        url = f"{self.mirror.rstrip('/')}/v2/{host}/{name}" if self.mirror else f"https://{_HOSTS.get(host, host)}/v2/{name}"
        login = self.credentials.get(urlsplit(self.mirror).netloc if self.mirror else host) or {}
        answer = self._manifest(f"{url}/manifests/{tag}", (login["username"], login["password"]) if login else None)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise RackstartError(f"{url}: the registry gives no digest for {tag}")
        return {"reference": entry["reference"], "digest": digest}

    def _manifest(self, url: str, login: tuple[str, str] | None) -> httpx.Response:
        headers = {"Accept": _MANIFESTS}
        answer = self._send("HEAD", url, headers=headers)
        if answer.status_code == 401:
            scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
            asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            if scheme.lower() == "bearer" and "realm" in asked:
                realm = asked.pop("realm")
                grant = self._good("GET", realm, params=asked, auth=login).json()
                headers["Authorization"] = f"Bearer {grant.get('token') or grant['access_token']}"
                login = None
            return self._good("HEAD", url, headers=headers, auth=login)
        return _checked(answer)

    def _sha256(self, url: str) -> str:
        address, digest, seen = self.address(url), hashlib.sha256(), 0
        try:
            with contextlib.closing(self._send("GET", address, stream=True)) as answer:
                size = int(_checked(answer).headers.get("Content-Length", 0))
                for piece in answer.iter_bytes(1 << 20):
                    digest.update(piece)
                    seen += len(piece)
                    self.tell(f"{seen >> 20} of {size >> 20} MiB" if size else f"{seen >> 20} MiB")
        except httpx.HTTPError as error:
            raise RackstartError(f"{address}: {error}") from None
        return digest.hexdigest()

    def _get(self, url: str) -> httpx.Response:
        return self._good("GET", self.address(url))

    def _good(self, method: str, url: str, **options: Any) -> httpx.Response:
        return _checked(self._send(method, url, **options))

    def _send(
        self, method: str, url: str, *, auth: tuple[str, str] | None = None, stream: bool = False, again: int = 2, **options: Any
    ) -> httpx.Response:
        """A connection that does not come up is tried `again`: with retries of httpx's own the environment's proxy would not count."""
        try:
            return self._http.send(self._http.build_request(method, url, **options), auth=auth, stream=stream)
        except httpx.HTTPError as error:
            if not again or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise RackstartError(f"{url}: {error}") from None
        time.sleep(0.5)
        return self._send(method, url, auth=auth, stream=stream, again=again - 1, **options)


def published_checksum(listing: str, name: str) -> str | None:
    """The sha256 of a file in a listing as sha256sum writes it."""
    return next((line.split()[0] for line in listing.splitlines() if line.split()[1:] in ([name], [f"*{name}"])), None)


def fingerprints(data: bytes) -> list[str]:
    """Fingerprints of the primary keys in an OpenPGP key file, armored or binary: upper-case hexadecimal, version 4 keys."""
    if b"-----BEGIN PGP" in data:
        data = b"".join(_dearmored(data))
    return [hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper() for tag, body in _packets(data) if tag == 6]


def _dearmored(data: bytes) -> Iterator[bytes]:
    for block in re.findall(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END", data.replace(b"\r", b""), re.S):
        body = block.partition(b"\n\n")[2].partition(b"\n=")[0]  # without headers and checksum
        yield base64.b64decode(body)


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body) of the packets of an OpenPGP message (RFC 9580, section 4.2)."""
    place = 0
    while place < len(data):
        head, place = data[place], place + 1
        if head & 0x40:
            tag, first = head & 0x3F, data[place]
            width = 1 if first < 192 else 2 if first < 224 else 5
            length = (
                first
                if width == 1
                else ((first - 192) << 8) + data[place + 1] + 192
                if width == 2
                else int.from_bytes(data[place + 1 : place + 5], "big")
            )
        else:
            tag, width = (head & 0x3C) >> 2, 1 << (head & 3)
            length = int.from_bytes(data[place : place + width], "big")
        place += width
        yield tag, data[place : place + length]
        place += length


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code != 200:
        raise RackstartError(f"{answer.request.method} {answer.request.url}: HTTP {answer.status_code} {answer.reason_phrase}")
    return answer

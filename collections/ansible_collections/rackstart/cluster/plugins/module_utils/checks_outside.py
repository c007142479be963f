"""What preflight asks outside, from the controller: the servers, the mirror, each artifact's address, and the hub about each model."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import store
from ansible_collections.rackstart.cluster.plugins.module_utils.artifacts import advised, mirrored

WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".gguf")
MANIFESTS = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json", "oci.image.manifest.v1+json", "docker.distribution.manifest.list.v2+json",
        "docker.distribution.manifest.v2+json",
    )
)  # fmt: skip
PATIENCE = 20  # seconds for one answer
AT_ONCE = 16


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Shed(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and leaves the token behind where one leads to another host."""

    def redirect_request(self, request: Any, *said: Any) -> Any:
        onward = super().redirect_request(request, *said)
        if onward and onward.host != request.host:
            onward.remove_header("Authorization")
        return onward


TRUSTED = ssl.create_default_context()  # module preflight adds the inventory's authorities
OPENER = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=TRUSTED))
READER = urllib.request.build_opener(_Shed, urllib.request.HTTPSHandler(context=TRUSTED))


def head(url: str, **headers: str) -> int:
    """Status of a URL, a redirect counting as what it is; raises OSError when nothing answers."""
    try:
        with OPENER.open(urllib.request.Request(url, headers=headers, method="HEAD"), timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def doors(hosts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Why nothing is heard from each server's port of ssh, asked from here as its API will be; "" where it answers or refuses."""
    servers = {name: (host["address"], host["port"]) for name, host in hosts.items() if "k3s_server" in host["groups"]}
    return _together(_silence, servers)


def _silence(door: tuple[str, int]) -> str:
    try:
        socket.create_connection(door, timeout=PATIENCE / 2).close()
    except ConnectionRefusedError:
        return ""
    except OSError as problem:
        return str(problem)
    return ""


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def mirror(url: str) -> dict[str, str]:
    """{url, error}: why the mirror does not answer, or ""."""
    try:
        if url:
            head(url)
    except (OSError, ValueError) as problem:
        return {"url": url, "error": advised(str(problem))}
    return {"url": url, "error": ""}


def read(url: str, token: str) -> Any:
    """The JSON at a URL of the hub. Raises OSError or ValueError."""
    with READER.open(urllib.request.Request(url, headers=_authorization(token)), timeout=PATIENCE) as answer:
        return json.load(answer)


def size(hub: str, token: str, model: dict[str, Any]) -> dict[str, Any]:
    """{store, weights: bytes; access: status of the first file; config: config.json, None when it cannot be read}, or {error, status}."""
    files = f"{hub}/{model['repo']}/resolve/{model['revision']}"
    try:
        tree = read(f"{hub}/api/models/{model['repo']}/tree/{model['revision']}?recursive=true", token)
        listed = [store.RemoteFile(entry["path"], entry["size"], None, "") for entry in tree if entry["type"] == "file"]
        sizes = {file.path: file.size for file in store.served(listed, [model["file"]] if "file" in model else [])}
        if model.get("file", "") not in ("", *sizes):
            return {"error": f"{hub}: {model['repo']} has no {model['file']} at that revision"}
        first = min(sizes, key=lambda path: sizes[path], default="config.json")
        access = head(f"{files}/{first}", **_authorization(token))  # the metadata of a gated model is open to all; its files are not
    except urllib.error.HTTPError as error:
        return {"error": f"{hub}: {error}", "status": error.code}
    except (OSError, ValueError) as error:
        return {"error": f"{hub}: {advised(str(error))}"}
    access = 200 if access < 400 else access
    return {"store": sum(sizes.values()), "weights": _weights(sizes), "access": access, "config": _config(files, token)}


def _config(files: str, token: str) -> dict[str, Any] | None:
    try:
        return dict(read(f"{files}/config.json", token))
    except (OSError, TypeError, ValueError):
        return None


def _weights(sizes: dict[str, int]) -> int:
    """Bytes that an engine loads: of one form of the weights, where a repository has several. The largest, so as not to say too little."""
    forms: dict[tuple[str, bool], int] = {}
    for path, size in sizes.items():
        suffix = next((suffix for suffix in WEIGHTS if path.endswith(suffix)), "")
        form = suffix, path.rpartition("/")[2].startswith("consolidated")
        forms[form] = forms.get(form, 0) + (size if suffix else 0)
    return max(forms.values(), default=0)


def sizes(hub: str, token: str, models: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """size() of each model by name; none without a hub."""
    return _together(lambda model: size(hub, token, model), {model["name"]: model for model in models} if hub else {})


def addresses(declared: dict[str, Any], lock: dict[str, Any], mirror: str) -> dict[str, str]:
    """The address of each artifact, as it will be fetched, by kind.name. Of images without a mirror only the registry's door."""
    found = {}
    for kind, field in (("files", "url"), ("charts", "url"), ("repositories", "key"), ("hubs", "url")):
        for name, entry in (declared.get(kind) or {}).items():
            found[f"{kind}.{name}"] = mirrored(entry[field], mirror)
    for name, entry in (declared.get("images") or {}).items():
        registry, _, repository = entry["reference"].partition("/")
        path, _, tag = repository.rpartition(":")
        pinned = ((lock.get("images") or {}).get(name) or {}).get("digest") or tag
        door = "registry-1.docker.io" if registry == "docker.io" else registry
        found[f"images.{name}"] = f"{mirror.rstrip('/')}/v2/{registry}/{path}/manifests/{pinned}" if mirror else f"https://{door}/v2/"
    return found


def reach(addresses: dict[str, str]) -> dict[str, str]:
    """Why each address cannot be fetched from, or ""; by `name (address)`."""
    answers = _together(_problem, addresses)
    return {f"{name} ({addresses[name]})": problem for name, problem in answers.items()}


def _problem(address: str) -> str:
    try:
        status = head(address, Accept=f"{MANIFESTS}, */*")
    except (OSError, ValueError) as error:
        return advised(str(getattr(error, "reason", error)))
    open_door = status < 400 or (status == 401 and address.endswith("/v2/")) or status == 405
    return "" if open_door else f"HTTP {status}"


def _together(question: Callable[[Any], Any], items: dict[str, Any]) -> dict[str, Any]:
    """The answer to each item by its name, many asked at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers: Iterable[Any] = pool.map(question, items.values())
        return dict(zip(items, answers, strict=True))

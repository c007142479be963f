"""The cluster's API as this collection's modules use it: connection and options of kubernetes.core, objects as plain dictionaries."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
import typing as t
from collections.abc import Iterator

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

try:
    from kubernetes.client.api_client import ApiClient
    from kubernetes.client.exceptions import ApiException
    from kubernetes.client.rest import RESTClientObject
    from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError
    from kubernetes.stream import portforward, stream
    from kubernetes.stream.ws_client import ERROR_CHANNEL
    from urllib3.exceptions import HTTPError
    from websocket import WebSocket, WebSocketException

    ERRORS: tuple[type[BaseException], ...] = (ApiException, DynamicApiError, HTTPError, OSError)
except ImportError:  # reported by AnsibleK8SModule, with what to install
    ERRORS = ()

REQUEST_SECONDS = (10, 30)  # to connect, and between two bytes of an answer
BROKEN = (500, 502, 503, 504)
ADVICE = "Look at `systemctl status k3s` on the servers, and at proxies on the way to them, then run again."
Object = dict[str, t.Any]
T = t.TypeVar("T")

if t.TYPE_CHECKING:
    import socket


class ClusterError(Exception):
    """The API refused or could not do something; the message is for a person."""


class TimeoutReached(ClusterError):
    """A condition did not come true within its budget."""


def module(argument_spec: dict[str, t.Any], **kwargs: t.Any) -> AnsibleK8SModule:
    """A module that takes kubernetes.core's connection options (also K8S_AUTH_* in the environment) beside its own."""
    return AnsibleK8SModule(argument_spec={**AUTH_ARG_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)


def said(error: BaseException) -> str:
    """What an error of the API says, without the HTTP around it."""
    if isinstance(error, ClusterError):
        return str(error)
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        text = body.decode(errors="replace") if isinstance(body, bytes) else body
        status, words = getattr(error, "status", None), text or getattr(error, "reason", None)
        plain = f"HTTP {status}: {words}" if status and words else str(error)
        return plain.strip().splitlines()[0] if plain.strip() else type(error).__name__


def reason(error: BaseException) -> str:
    """The same, with what to do where the API itself is what is broken."""
    status = getattr(error, "status", None)
    broken = status in BROKEN if status else isinstance(error, (HTTPError, OSError))
    return said(error) + (f". {ADVICE}" if broken and not isinstance(error, ClusterError) else "")


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Errors of the body say of what they are. Raises ClusterError in their place."""
    try:
        yield
    except (ClusterError, *ERRORS) as error:
        raise ClusterError(f"{what}: {reason(error)}") from error


def bound() -> None:
    """Give every request of this process that has no bound of its own one: a server may take it and never answer."""
    unbound, connect = RESTClientObject.request, WebSocket.connect
    if getattr(unbound, "bounded", False):
        return

    def request(*args: t.Any, _request_timeout: t.Any = None, **kwargs: t.Any) -> t.Any:
        answer = unbound(*args, _request_timeout=_request_timeout or REQUEST_SECONDS, **kwargs)
        if str(answer.headers.get("Content-Type")).startswith("text/html"):
            raise ApiException(502, "a web page, which is not one of the cluster's API")
        return answer

    def stream_request(socket: t.Any, url: str, **options: t.Any) -> None:
        connect(socket, url, **{"timeout": REQUEST_SECONDS[1], **options})

    request.bounded = True  # type: ignore[attr-defined]
    RESTClientObject.request, WebSocket.connect = request, stream_request


class Cluster:
    """One connection to the cluster's API."""

    def __init__(self, ansible_module: AnsibleK8SModule) -> None:
        bound()
        try:
            self.dynamic = get_api_client(module=ansible_module).client
        except (CoreException, *ERRORS) as error:
            raise ClusterError(f"The cluster's API cannot be reached: {reason(error)}") from error

    def core(self) -> t.Any:
        """A CoreV1Api of its own: a stream changes the client that it goes through, and prompts are asked from threads."""
        from kubernetes.client import CoreV1Api  # not above: it loads a model of every kind, half a second that most modules need not spend

        return CoreV1Api(ApiClient(self.dynamic.client.configuration))

    def resource(self, api_version: str, kind: str) -> t.Any:
        """A resource by its kind; None when the cluster does not have it (yet)."""
        try:
            return self.dynamic.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError:
            return None

    def list(self, api_version: str, kind: str, namespace: str | None = None, selector: str | None = None) -> list[Object]:
        """Objects of a kind, none when the cluster does not know the kind."""
        resource = self.resource(api_version, kind)
        try:
            return resource.get(namespace=namespace, label_selector=selector).to_dict()["items"] if resource else []
        except NotFoundError:  # the client keeps in a file which kinds there are, and this one is gone
            return []

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """One object, or None."""
        resource = self.resource(api_version, kind)
        try:
            return resource.get(name=name, namespace=namespace).to_dict() if resource else None
        except NotFoundError:
            return None

    def has_crd(self, name: str) -> bool:
        """Whether the cluster has a CustomResourceDefinition."""
        return self.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name) is not None

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """Texts of a Secret by name; none when it is not there."""
        found = self.get("v1", "Secret", name, namespace) or {}
        return {key: base64.b64decode(text).decode() for key, text in (found.get("data") or {}).items()}

    def logs(self, namespace: str, pod: str, container: str | None = None, lines: int = 20, previous: bool = False) -> str:
        """The end of a container's log, or why there is none."""
        try:
            return self.core().read_namespaced_pod_log(pod, namespace, container=container, tail_lines=lines, previous=previous)
        except (ApiException, HTTPError) as error:
            return f"(no log: {said(error)})"

    def execute(self, namespace: str, pod: str, command: list[str], timeout: int = 30) -> tuple[int, str]:
        """Exit code and output (both streams) of a command in a pod's first container. Raises ClusterError."""
        try:
            channel = stream(
                self.core().connect_get_namespaced_pod_exec,
                pod,
                namespace,
                command=command,
                stdout=True,
                stderr=True,
                _preload_content=False,
                _request_timeout=timeout,
            )
            channel.run_forever(timeout=timeout)
            if channel.is_open():
                channel.close()
                raise ClusterError(f"no answer within {timeout} s")
            return exit_code(json.loads(channel.read_channel(ERROR_CHANNEL) or "{}")), channel.read_all()
        except (ApiException, WebSocketException, HTTPError, OSError) as error:
            raise ClusterError(said(error)) from error

    def post(self, namespace: str, pod: str, port: int, path: str, body: Object, timeout: int, key: str) -> Object:
        """JSON answer of a pod to a JSON request with an API key. Raises ClusterError."""
        text = self._exchange(namespace, pod, port, timeout, "POST", path, json.dumps(body), {"Authorization": f"Bearer {key}"})
        try:
            return json.loads(text)
        except ValueError as error:
            raise ClusterError(said(error)) from error

    def read(self, namespace: str, pod: str, port: int, path: str, timeout: int) -> str:
        """What a pod has at a path. Raises ClusterError."""
        return self._exchange(namespace, pod, port, timeout, "GET", path)

    @contextlib.contextmanager
    def connection(self, namespace: str, pod: str, port: int, timeout: int) -> Iterator[socket.socket]:
        """A connection to a pod. Raises ClusterError, also for what goes wrong with it in the body."""
        try:
            forward = self._forward(namespace, pod, port)
            with contextlib.closing(forward.socket(port)) as channel:
                channel.settimeout(timeout)
                yield channel
                problem = forward.error(port)
        except (ApiException, WebSocketException, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            raise ClusterError(said(error)) from error
        if problem:
            raise ClusterError(problem)

    def _forward(self, namespace: str, pod: str, port: int) -> t.Any:
        """By port-forward, so that network policies may close all else."""
        return portforward(self.core().connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))

    def _exchange(
        self,
        namespace: str,
        pod: str,
        port: int,
        timeout: int,
        method: str,
        path: str,
        body: str | None = None,
        headers: Object | None = None,
    ) -> str:
        connection = http.client.HTTPConnection("localhost")
        with self.connection(namespace, pod, port, timeout) as connection.sock:
            connection.request(method, path, body, {"Content-Type": "application/json", "Connection": "close", **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        if response.status != 200:
            raise ClusterError(f"HTTP {response.status}: {text[:200]}")
        return text


def exit_code(status: Object) -> int:
    """Exit code of a command by the Status that ends its stream; raises ClusterError when it could not be run, as on a dead kubelet."""
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == "NonZeroExitCode":
        return int(status["details"]["causes"][0]["message"])
    raise ClusterError(status.get("message") or "the stream ended without the command's exit code")


def poll(check: t.Callable[[], T | None], budget: float, what: t.Callable[[], str], every: float = 2.0) -> T:
    """Calls check until it returns something, every few seconds. An API that is away for a moment is asked again.

    budget: seconds. what: says, once the budget is used up, what did not come true. Raises TimeoutReached.
    """
    end = time.monotonic() + budget
    problem = ""
    while True:
        try:
            result = check()
            if result is not None:
                return result
            problem = ""
        except ERRORS as error:
            problem = f" The API's last answer: {said(error)}"
        if time.monotonic() >= end:
            raise TimeoutReached(what() + problem)
        time.sleep(every)

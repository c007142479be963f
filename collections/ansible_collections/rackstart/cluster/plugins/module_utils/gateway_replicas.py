"""The gateway's replicas as they run: which keys each holds, and how they are told of others without a restart."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, applier, gateway, gateway_keys, gateway_objects, pods, workloads

SELECTOR = ",".join(f"{key}={value}" for key, value in gateway_objects.MATCH.items())
PATIENCE = 10  # seconds for one answer
AT_ONCE = 8  # replicas that are talked to at the same time
MARK = "rackstart.io/keys"  # annotation of a replica's pod: which keys the Secret had when it was told

if t.TYPE_CHECKING:
    import socket


def leaving(pod: api.Object) -> bool:
    """Whether it is on its way out: it takes no new connection, and goes on with those that it has."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def found(cluster: api.Cluster) -> list[api.Object]:
    """Those that are to stay, and those on their way out whose container still runs."""
    every = cluster.list("v1", "Pod", pods.NAMESPACE, SELECTOR)
    return [pod for pod in every if not leaving(pod) or any(map(_runs, (pod.get("status") or {}).get("containerStatuses") or []))]


def _runs(container: api.Object) -> bool:
    return "running" in (container.get("state") or {})


def ready(cluster: api.Cluster) -> list[str]:
    """Names of those that take connections."""
    return [pod["metadata"]["name"] for pod in found(cluster) if workloads.pod_ready(pod)]


class Runtime:
    """HAProxy's runtime API of one replica, in its interactive form: each answer ends with a prompt."""

    END = b"\n> "

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.say("prompt")

    def say(self, command: str) -> str:
        """The answer to a command. Raises OSError."""
        self.connection.sendall(f"{command}\n".encode())
        answer = b""
        while not answer.endswith(self.END):
            piece = self.connection.recv(65536)
            if not piece:
                raise OSError(f"the runtime API closed the connection after {command.split()[0]}")
            answer += piece
        return answer.removesuffix(self.END).decode()

    def keys(self) -> set[str]:
        """Lines of the keys that it accepts."""
        shown = self.say(f"show map {gateway_objects.KEYS_PATH}").splitlines()
        return {line.partition(" ")[2] for line in shown if line.startswith("0x")}

    def replace(self, keys: list[gateway_keys.Key]) -> None:
        """All of them at once. Raises OSError when it does not begin a new list."""
        path = gateway_objects.KEYS_PATH
        version = self.say(f"prepare map {path}").partition(":")[2].strip()
        if not version.isdigit():
            raise OSError("the runtime API begins no new list of keys")
        if keys:
            self.say(f"add map @{version} {path} <<\n{gateway_keys.text(keys)}")
        self.say(f"commit map @{version} {path}")


def held(cluster: api.Cluster, pod: str) -> set[str]:
    """Lines of the keys that a replica accepts. Raises ClusterError."""
    with cluster.connection(pods.NAMESPACE, pod, gateway.RUNTIME_PORT, PATIENCE) as connection:
        return Runtime(connection).keys()


def told(cluster: api.Cluster, pod: str, keys: list[gateway_keys.Key]) -> bool:
    """Whether a replica had other keys than these; it has these now. Raises ClusterError."""
    wanted = set(map(gateway_keys.line, keys))
    with cluster.connection(pods.NAMESPACE, pod, gateway.RUNTIME_PORT, PATIENCE) as connection:
        runtime = Runtime(connection)
        if runtime.keys() == wanted:
            return False
        runtime.replace(keys)
        if runtime.keys() != wanted:
            raise api.ClusterError(f"pod {pod} did not take the keys over")
    return True


def refresh(cluster: api.Cluster, pod: api.Object, keys: list[gateway_keys.Key]) -> None:
    """Have the keys' file of a replica written anew, which it reads when it starts over."""
    applier.renew_files(cluster, pod, MARK, pods.mark(gateway_keys.text(keys)))


def stored(cluster: api.Cluster) -> tuple[api.Object | None, list[gateway_keys.Key]]:
    """The Secret, and the keys that a replica starts with."""
    secret = cluster.get("v1", "Secret", gateway_objects.KEYS_SECRET, pods.NAMESPACE)
    text = cluster.secret(pods.NAMESPACE, gateway_objects.KEYS_SECRET).get(gateway_objects.KEYS_FILE, "") if secret else ""
    return secret, gateway_keys.read(text)


def problems(cluster: api.Cluster) -> dict[str, str]:
    """By each ready replica, what is wrong with its keys; nothing when they are the Secret's."""
    wanted = set(map(gateway_keys.line, stored(cluster)[1]))

    def problem(pod: str) -> str:
        try:
            differ = len(held(cluster, pod) ^ wanted)
            return f"{differ} keys differ from the Secret's" if differ else ""
        except api.ClusterError as error:
            return str(error)

    names = ready(cluster)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(problem, names), strict=True))

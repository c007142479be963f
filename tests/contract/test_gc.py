"""The playbook of `model gc`, run by Ansible against a store on this machine and an API of which it is known what it lists when."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import promotion, volumes, weights_use

from rackstart.paths import ROOT

SERVER, EXPORT = "10.0.0.1", "/export"
DECLARED, FORMER, USED, IDLE = (digit * 40 for digit in "1234")
MODEL = {"name": "tiny", "repo": "org/tiny", "revision": DECLARED}
PLURALS = {kind: f"{kind.lower()}s" for kind in weights_use.KINDS}
CLUSTER_WIDE = ("PersistentVolume",)
Objects = dict[str, list[dict[str, Any]]]


def claim(revision: str) -> str:
    return volumes.claim(MODEL | {"revision": revision}, SERVER, EXPORT)


def mounting(revision: str) -> dict[str, Any]:
    return {"containers": [{"image": "x"}], "volumes": [{"persistentVolumeClaim": {"claimName": claim(revision)}}]}


def meta(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "llm", "uid": name, **more}


def pod(revision: str) -> dict[str, Any]:
    return {"metadata": meta("user"), "spec": mounting(revision)}


def objects() -> Objects:
    """Volumes of all four; one is declared, one can be taken back to, and a pod of a user's mounts one."""
    labels = {"app.kubernetes.io/managed-by": "rackstart", "app.kubernetes.io/component": "weights"}
    found: Objects = {kind: [] for kind in weights_use.KINDS}
    for revision in (DECLARED, FORMER, USED, IDLE):
        name = claim(revision)
        nfs = {"server": SERVER, "path": f"{EXPORT}/org/tiny/{revision}"}
        found["PersistentVolume"].append({"metadata": {"name": name, "labels": labels}, "spec": {"nfs": nfs}})
        found["PersistentVolumeClaim"].append({"metadata": meta(name, labels=labels), "spec": {"volumeName": name}})
        check = {"metadata": meta(name, labels=labels), "spec": {"template": {"spec": mounting(revision)}}}
        found["DaemonSet"].append(check)
        found["Pod"].append({"metadata": meta(f"{name}-x", labels=labels), "spec": mounting(revision)})
    good = [{"spec": {"template": {"spec": mounting(revision)}}} for revision in (DECLARED, FORMER)]
    annotations = {promotion.GOOD: json.dumps(good)}
    found["Deployment"].append({"metadata": meta("tiny", annotations=annotations), "spec": {"template": {"spec": mounting(DECLARED)}}})
    found["Pod"].append(pod(USED))
    return found


class Api(ThreadingHTTPServer):
    """listed: what is there; lists: how many times pods have been listed; on_list: called before they are."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.listed, self.lists, self.dry = objects(), 0, 0
        self.on_list: Callable[[int], None] = lambda number: None

    def find(self, method: str, path: str, body: str) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        groups = sorted({version.partition("/")[0] for version in weights_use.KINDS.values() if "/" in version})
        if path == "/apis":
            versions = {name: {"groupVersion": f"{name}/v1", "version": "v1"} for name in groups}
            return 200, {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [{"name": name, "versions": [one], "preferredVersion": one} for name, one in versions.items()],
            }
        version = "v1" if parts[0] == "api" else f"{parts[1]}/v1"
        kinds = {PLURALS[kind]: kind for kind, own in weights_use.KINDS.items() if own == version}
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            verbs = ["get", "list", "delete"]
            listed = [
                {"name": plural, "singularName": "", "kind": kind, "namespaced": kind not in CLUSTER_WIDE, "verbs": verbs}
                for plural, kind in kinds.items()
            ]
            return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": listed}
        rest = rest[2:] if rest[0] == "namespaces" else rest
        kind = kinds[rest[0]]
        if len(rest) == 1:
            if kind == "Pod":
                self.lists += 1
                self.on_list(self.lists)
            selected = [one for one in self.listed[kind] if one["metadata"].get("labels") or "labelSelector" not in self.query]
            return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": selected}
        found = [one for one in self.listed[kind] if one["metadata"]["name"] == rest[1]]
        if method == "DELETE" and found and "dryRun" not in body:
            self.listed[kind].remove(found[0])
        return (200, {"kind": kind, "apiVersion": version, **found[0]}) if found else (404, {"kind": "Status", "code": 404})

    query = ""


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path, _, self.server.query = self.path.partition("?")
        try:
            status, answer = self.server.find(self.command, path, body)
        except ConnectionError:
            status, answer = 503, {"kind": "Status", "message": "no leader", "code": 503}
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for revision in (DECLARED, FORMER, USED, IDLE):
        place = tmp_path / "store/org/tiny" / revision
        place.mkdir(parents=True)
        (place / "MANIFEST.sha256").write_text("x" * 10)
    return tmp_path / "store"


@pytest.fixture
def gc(tmp_path: Path, cluster: Api, store: Path) -> Callable[..., Any]:
    """Runs the playbook on this machine, and returns what it wrote (None when it failed), and its output."""
    project, state = tmp_path / "project", tmp_path / "state/rackstart/inventory"
    (project / "playbooks/day2").mkdir(parents=True)
    (project / "playbooks/tasks").mkdir()
    (project / "inventory/group_vars").mkdir(parents=True)
    state.mkdir(parents=True)
    for name in ("ansible.cfg", "collections", "roles", "playbooks/group_vars"):
        (project / name).symlink_to(ROOT / name)
    (project / "playbooks/day2/group_vars").symlink_to("../group_vars")
    shutil.copy(ROOT / "playbooks/day2/gc.yml", project / "playbooks/day2")
    reach = {"name": "Reach", "ansible.builtin.set_fact": {"rackstart_api_server": "{{ ready }}"}}
    (project / "playbooks/tasks/kubeconfig.yml").write_text(yaml.safe_dump([reach]))
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_host": SERVER, "ansible_become": False}
    groups: dict[str, Any] = {name: {"hosts": {"server-1": host}} for name in ("storage", "k3s_server", "k3s_agent", "gpu")}
    groups["out_of_service"] = {"hosts": {}}
    file = project / "inventory/hosts.yml"
    variables = {"models": [MODEL], "storage_path": str(store), "storage_export": EXPORT, "storage_server": SERVER, "cluster_proxy": {}}
    (project / "inventory/group_vars/all.yml").write_text(yaml.safe_dump(variables))
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    address = f"http://127.0.0.1:{cluster.server_port}"
    config = {"clusters": [{"name": "c", "cluster": {"server": address}}], "users": [{"name": "u", "user": {"token": "t"}}]}
    (state / "kubeconfig").write_text(json.dumps({**config, "contexts": [context], "current-context": "c"}))

    def run(*options: str, ready: str = "server-1", away: bool = False) -> tuple[Any, str]:
        out = {"hosts": {"server-1": None}} if away else groups["out_of_service"]
        file.write_text(yaml.safe_dump({"all": {"children": {**groups, "out_of_service": out}}}))
        (state / "gc.json").unlink(missing_ok=True)
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventory", "-e", f"ready={ready}", *options]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [*command, "playbooks/day2/gc.yml"], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == (state / "gc.json").exists(), output
        return (json.loads((state / "gc.json").read_text()) if done.returncode == 0 else None), output

    return run


def stored(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "org/tiny").iterdir())


def volumes_of(cluster: Api) -> list[list[str]]:
    return [
        sorted(one["metadata"]["name"] for one in cluster.listed[kind])
        for kind in ("PersistentVolume", "PersistentVolumeClaim", "DaemonSet")
    ]


GONE = [f"{kind}/{claim(IDLE)}" for kind in ("DaemonSet", "PersistentVolumeClaim", "PersistentVolume")]
REASONS = {DECLARED: "declared: tiny", FORMER: "tiny can be taken back to it", USED: "Pod llm/user", IDLE: ""}


def reasons(found: Any) -> dict[str, str]:
    return {entry["what"][-40:]: entry["why"] for entry in found["store"]}


def test_only_what_nothing_needs_goes(cluster: Api, store: Path, gc: Callable[..., Any]) -> None:
    before = volumes_of(cluster)
    look, output = gc("--check")
    assert look is not None, output
    assert (reasons(look), sorted(look["volumes"])) == (REASONS, sorted(GONE))
    assert (volumes_of(cluster), stored(store)) == (before, [DECLARED, FORMER, USED, IDLE])
    found, output = gc()
    assert found is not None, output
    assert (reasons(found), sorted(found["volumes"])) == (REASONS, sorted(GONE))
    assert stored(store) == [DECLARED, FORMER, USED]
    assert volumes_of(cluster) == [sorted(map(claim, (DECLARED, FORMER, USED)))] * 3


def test_a_pod_that_comes_between_the_looks_has_its_weights(cluster: Api, store: Path, gc: Callable[..., Any]) -> None:
    used = {"metadata": meta("late"), "spec": {"volumes": [{"nfs": {"server": SERVER, "path": f"{EXPORT}/org/tiny/{IDLE}"}}]}}
    cluster.on_list = lambda number: cluster.listed["Pod"].append(used) if number == 2 else None
    found, output = gc()
    assert found is not None, output
    assert reasons(found) == REASONS | {IDLE: "Pod llm/late"}
    assert stored(store) == [DECLARED, FORMER, USED, IDLE]


def test_an_api_that_goes_away_between_the_looks_ends_it_and_the_next_goes_on(cluster: Api, store: Path, gc: Callable[..., Any]) -> None:
    def away(number: int) -> None:
        if number == 2:
            raise ConnectionError

    cluster.on_list = away
    found, output = gc()
    assert found is None
    assert "no leader" in output
    assert (store / ".unused/org/tiny" / IDLE / "MANIFEST.sha256").exists()
    found, output = gc()
    assert (reasons(found), found["volumes"]) == (REASONS, [])
    assert [stored(store), list((store / ".unused").rglob("MANIFEST*"))] == [[DECLARED, FORMER, USED], []]


@pytest.mark.parametrize(
    ("options", "state", "said"),
    [
        ((), {"ready": ""}, "cannot be told which weights pods use"),
        (("--check",), {"ready": ""}, "cannot be told which weights pods use"),
        ((), {"away": True}, "is out of service"),
    ],
)
def test_without_cluster_or_store_nothing_is_removed(
    cluster: Api, store: Path, gc: Callable[..., Any], options: tuple[str, ...], state: dict[str, Any], said: str
) -> None:
    before = volumes_of(cluster)
    found, output = gc(*options, **state)
    assert found is None
    assert said in " ".join(output.split())
    assert (volumes_of(cluster), stored(store)) == (before, [DECLARED, FORMER, USED, IDLE])

"""From nothing to a green verdict, and what happens to it afterwards. In this order: each test finds what the one before left."""

import json
import random
import re
import stat
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from kubernetes.client import CoreV1Api

from lab import paths
from lab.host import Host
from rackstart import journal, processes
from rackstart.stages import STAGES
from tests.lab.drive import COMMANDS, MODEL, STATE, Finished, Running, api, cluster_id, on

pytestmark = pytest.mark.lab

UNITS = "k3s k3s-agent nfs-ganesha nvidia-persistenced rackstart-firewall containerd"
HOSTS = ("server-1", "gpu-1", "gpu-2")
Bootstrap = Callable[..., Finished]


def starts() -> dict[str, object]:
    """When each unit of the hosts and each running container of the cluster was started."""
    show = f"systemctl show --property=Id,ActiveEnterTimestampMonotonic,MainPID {UNITS}"
    containers = {
        f"{pod.metadata.namespace}/{pod.metadata.name}/{container.name}": str(container.state.running.started_at)
        for pod in CoreV1Api(api()).list_pod_for_all_namespaces().items
        for container in pod.status.container_statuses or []
        if container.state.running
    }
    return {host: on(host, show) for host in HOSTS} | {"containers": containers}


def test_first_run_ends_green_and_its_curl_line_answers(first: Finished) -> None:
    assert first.code == 0, first
    assert "verdict: green" in first.out
    lines = [line for line in first.out.splitlines() if line.startswith(("KEY=", "curl "))]
    assert [line.split("=")[0].split()[0] for line in lines] == ["KEY", "curl"]
    answer = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(answer.stdout)["choices"][0]["message"]["content"]
    assert MODEL["golden_prompts"][0]["expect"] in said


def test_doctor_tells_all_of_every_check_to_programs(cluster: str, bootstrap: Bootstrap) -> None:
    told = bootstrap("--inventory", "lab", "doctor", "--json")
    assert told.code == 0, told
    assert told.changes == set()
    checks = told.json["preflight"]
    assert len({check["id"] for check in checks}) >= 60
    assert {"server-1", "gpu-1", "gpu-2"} <= {check["target"] for check in checks}
    assert [check for check in checks if not all(check[name] for name in ("severity", "seen", "expected", "docs"))] == []
    assert [check for check in checks if check["ok"] is not True and not check["remedy"]] == []


def test_second_run_changes_and_restarts_nothing(cluster: str, bootstrap: Bootstrap) -> None:
    before = starts()
    second = bootstrap("--inventory", "lab", "--json")
    assert second.code == 0, second
    assert second.changes == set()
    counts = [count["changed"] for stage in second.json["stages"] for count in stage["hosts"].values()]
    assert len(second.json["stages"]) == len(STAGES)
    assert len(counts) > 12
    assert set(counts) == {0}
    assert starts() == before


def reached(run: str, stage: str, moment: random.Random) -> Callable[[], bool]:
    """Whether some run after `run` has begun the stage; true at a random one of the times it is asked after that."""
    left = moment.randint(0, 10)

    def asked() -> bool:
        nonlocal left
        newest = journal.runs(STATE)[0]
        if newest.id > run and stage in newest.stages:
            left -= 1
        return left < 0

    return asked


@pytest.mark.parametrize(
    ("groups", "seed"),
    [
        pytest.param((False, True), 3, id="wrapper-then-group"),
        *(pytest.param((False,), seed, id=f"wrapper-{seed}", marks=pytest.mark.chaos) for seed in range(1, 11)),
        *(pytest.param((True,), seed, id=f"group-{seed}", marks=pytest.mark.chaos) for seed in range(1, 11)),
    ],
)
def test_killed_runs_are_not_in_the_way_of_the_next(
    cluster: str, start: Callable[..., Running], bootstrap: Bootstrap, groups: tuple[bool, ...], seed: int
) -> None:
    """One host is new, each run that sets it up is killed at a moment that the seed chooses, and the next run starts at once."""
    assert bootstrap("lab", "host", "wipe", "gpu-2").code == 0
    wiped = bootstrap("--inventory", "lab", "verify", "--json")
    assert (wiped.code, ("gpu.driver", "driver") in wiped.red) == (4, True), wiped
    dead = [killed(start, group, random.Random(f"{seed} {group}")) for group in groups]

    again = bootstrap("--inventory", "lab", "--json")
    assert again.code == 0, f"seed {seed}: {again}"
    assert again.json["verdict"]["green"]
    assert [processes.of_run(run) for run in dead] == [set()] * len(dead)
    assert on("server-1", "find /srv/models/.staging -type f ! -name .lock") == ""
    assert cluster_id() == cluster


def killed(start: Callable[..., Running], group: bool, moment: random.Random) -> str:
    """Id of a run that is killed, alone or with its process group."""
    stage = moment.choice([stage.name for stage in STAGES if stage.name != "verify"])
    before = journal.runs(STATE)[0].id
    doomed = start("--inventory", "lab")
    early = doomed.wait(900, until=reached(before, stage, moment))
    assert early is None, f"ended before it was killed in {stage}: {early}"
    doomed.kill(group)
    dead = journal.runs(STATE)[0]
    assert dead.id > before
    assert dead.ended is None
    return dead.id


def secrets() -> dict[str, bytes]:
    """Every secret of the lab by where it is kept."""
    kept = {str(file): file.read_bytes().strip() for file in (STATE / "secrets").iterdir()}
    kept["become_password"] = paths.BECOME_PASSWORD.read_bytes().strip()
    return kept


def in_cluster() -> dict[str, bytes]:
    """What each Secret holds but certificates: of a private key the first line that is its own, all else whole."""
    held = CoreV1Api(api()).list_secret_for_all_namespaces().items
    values = {f"{secret.metadata.name} {name}": b64decode(value) for secret in held for name, value in (secret.data or {}).items()}
    private = {name: value.split(b"\n")[1] for name, value in values.items() if b" PRIVATE KEY-----\n" in value}
    assert [name for name in private if "gateway" in name]
    return private | {name: value for name, value in values.items() if len(value) >= 16 and b"-----BEGIN " not in value}


def test_secrets_are_nowhere_but_in_their_files(cluster: str, first: Finished) -> None:
    known = secrets() | in_cluster() | {"the first client's key": re.findall(r"^KEY=(\S+)", first.out, re.M)[0].encode()}
    known |= {f"{name}, encoded": b64encode(secret)[:-4] for name, secret in known.items()}
    assert len(known) >= 3
    assert all(len(secret) >= 16 for secret in known.values())
    texts = {f"journal of {host}": on(host, "journalctl --no-pager --output=cat").encode() for host in HOSTS}
    texts |= {f"command line {command!r}": command for command in COMMANDS}
    for folder in (STATE / "runs", STATE / "ssh", paths.REPO / ".ansible"):
        texts |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for report in STATE.glob("*.json"):
        texts[str(report)] = report.read_bytes()
    assert any(b"ansible-playbook" in command for command in COMMANDS)
    assert any(command.startswith(b"/usr/local/bin/k3s") for command in COMMANDS)
    assert [(place, name) for place, text in texts.items() for name, secret in known.items() if secret in text] == []


# Files of a host, without other file systems but those of k3s and the kubelet, and without the layers of images.
HOLDING = """
umask 077
cat >/run/looked-for
find / /var/lib/rancher /var/lib/kubelet -xdev -type f -not -path '*/containerd/*' -exec grep -laFf /run/looked-for {} + |
    xargs --no-run-if-empty --delimiter="\\n" stat --format='%U %a %n'
rm /run/looked-for
"""


def test_what_holds_a_secret_on_a_host_is_closed_to_others(cluster: str) -> None:
    looked_for = "\n".join(secret.decode() for secret in secrets().values())
    for host in HOSTS:
        holding = [line.split(maxsplit=2) for line in on(host, HOLDING, looked_for).splitlines()]
        assert [path for _, _, path in holding if path.startswith("/etc/rancher/k3s/")]
        assert [line for line in holding if line[0] != "root" or int(line[1], 8) & 0o077] == []


def test_what_the_roles_write_others_can_only_read(cluster: str) -> None:
    for host in HOSTS:
        written = Host.load(host).directory / "upper"
        paths_there = (path for folder in ("etc", "opt", "usr/local") for path in (written / folder).rglob("*"))
        files = [path for path in paths_there if stat.S_ISREG(path.lstat().st_mode)]
        assert any("rackstart" in path.name for path in files)
        assert [str(path) for path in files if path.lstat().st_uid or path.lstat().st_mode & 0o022] == []


def test_what_may_hold_secrets_is_closed_to_others(cluster: str) -> None:
    private = [STATE, *STATE.rglob("*")]
    assert [str(path) for path in (STATE, STATE / "secrets", STATE / "runs") if path.stat().st_mode & 0o077] == []
    logs = [path for path in private if path.is_file() and (path.suffix in (".log", ".jsonl", ".yml") or path.parent.name == "secrets")]
    assert len(logs) > 20
    assert [str(path) for path in (*logs, STATE / "kubeconfig") if path.stat().st_mode & 0o077] == []
    for host in HOSTS:
        assert on(host, "find /etc/rancher/k3s -type f -perm /077") == ""

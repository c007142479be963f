"""Three servers: one cluster, in which each of them votes, and nobody else."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from testinfra.host import Host

Run = Callable[[Host, str], tuple[int, str]]
SERVERS = {"mol-1", "mol-2", "mol-4"}
MEMBERS = """\
cd /var/lib/rancher/k3s/server/tls/etcd &&
curl -sS --cacert server-ca.crt --cert client.crt --key client.key -d '{}' https://127.0.0.1:2379/v3/cluster/member/list"""


def test_every_server_s_own_api_has_all_three_as_ready_voters(host: Host, as_root: Run) -> None:
    code, text = as_root(host, "k3s kubectl get nodes --output=json")
    assert code == 0, text
    nodes = {
        node["metadata"]["name"]: {entry["type"]: entry["status"] for entry in node["status"]["conditions"]}
        for node in json.loads(text)["items"]
    }
    assert {name: (seen["Ready"], seen["EtcdIsVoter"]) for name, seen in nodes.items()} == dict.fromkeys(SERVERS, ("True", "True"))


def test_etcd_has_no_member_of_a_server_that_was_lost(host: Host, as_root: Run) -> None:
    code, text = as_root(host, MEMBERS)
    assert code == 0, text
    members = json.loads(text)["members"]
    assert {member["name"].rpartition("-")[0] for member in members} == SERVERS
    assert len(members) == len(SERVERS)


def test_that_a_lost_server_is_forgotten_was_foretold() -> None:
    entries = [json.loads(line) for line in Path(os.environ["RACKSTART_RECORD"]).read_text().splitlines()]
    dry = {entry["run"]: entry["check"] for entry in entries if entry.get("playbook") == "molecule/three_servers/converge.yml"}
    changed = [entry for entry in entries if entry["run"] in dry and entry.get("outcome") == "changed"]
    forgotten = [(dry[entry["run"]], entry["host"]) for entry in changed if "Forget the node" in entry["name"]]
    assert forgotten[-2:] == [(True, "mol-1"), (False, "mol-1")]

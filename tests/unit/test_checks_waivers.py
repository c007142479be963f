"""What preflight lets pass: waivers in their time, and what looks like a fault but is none."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import checks

from tests.unit.checks_look import REVISION, good, put

Look = dict[str, Any]


@pytest.fixture
def look() -> Look:
    return good()


def red(look: Look) -> list[tuple[str, str]]:
    return [(entry["id"], entry["target"]) for entry in checks.refused(checks.judge(look))]


@pytest.fixture
def strange(look: Look) -> Look:
    """A look with a fault that people waive."""
    look["hosts"]["gpu-1"]["probe"]["os"] = {"id": "arch", "version_id": ""}
    return look


@pytest.mark.parametrize("until", ["2026-11-24", "2026-12-31"])
def test_a_waiver_lets_a_run_go_on_until_its_day_and_is_kept_in_the_report(strange: Look, until: str) -> None:
    strange["waivers"] = {"os.supported": {"reason": "tried by hand", "until": until}}
    found = checks.judge(strange)
    assert checks.refused(found) == []
    assert [entry["waived"] for entry in found if entry["id"] == "os.supported" and not entry["ok"]] == [f"tried by hand (until {until})"]
    assert checks.count(found)["waived"] == 1


def test_an_expired_waiver_counts_no_more_and_says_so(strange: Look) -> None:
    strange["waivers"] = {"os.supported": {"reason": "tried by hand", "until": "2026-11-23"}}
    (entry,) = checks.refused(checks.judge(strange))
    assert "its waiver expired on 2026-11-23" in entry["seen"]


@pytest.mark.parametrize(
    ("waiver", "said"),
    [
        ("tried by hand", "'tried by hand', a reason without a date"),
        ({"reason": "tried by hand"}, "no date"),
        ({"until": "2026-12-31"}, "no reason"),
        ({"reason": " ", "until": "2026-12-31"}, "no reason"),
        ({"reason": "tried by hand", "until": "next year"}, "until: next year, which is no date"),
        ({"reason": "tried by hand", "until": "2026-12-31", "who": "me"}, "unknown who"),
    ],
)
def test_a_waiver_of_another_form_is_refused_and_waives_nothing(strange: Look, waiver: object, said: str) -> None:
    strange["waivers"] = {"os.supported": waiver}
    found = checks.refused(checks.judge(strange))
    assert [entry["id"] for entry in found] == ["os.supported", "waivers.form"]
    assert found[1]["seen"] == said


def test_the_check_that_was_meant_is_offered(look: Look) -> None:
    look["waivers"] = {"os.suported": {"reason": "tried by hand", "until": "2026-12-31"}}
    (entry,) = checks.refused(checks.judge(look))
    assert (entry["id"], entry["seen"]) == ("waivers.known", "os.suported (did you mean os.supported?)")


def test_a_near_argument_is_offered(look: Look) -> None:
    look["models"][0]["extra_args"] = ["--enforce-eagr"]
    (entry,) = checks.refused(checks.judge(look))
    assert "--enforce-eager" in entry["remedy"]


@pytest.mark.parametrize(
    ("size", "token", "said"),
    [
        ({"error": "HTTP 401", "status": 401}, False, "set hub_token"),
        ({"error": "HTTP 401", "status": 401}, True, "expired or revoked"),
        ({"store": 1, "weights": 1, "access": 403}, False, "set hub_token"),
        ({"store": 1, "weights": 1, "access": 403}, True, "accept the licence on the page of org/llama"),
    ],
)
def test_each_refusal_of_the_hub_has_a_remedy_of_its_own(look: Look, size: dict[str, Any], token: bool, said: str) -> None:
    look["sizes"]["llama"], look["token"] = size, token
    (entry,) = checks.refused(checks.judge(look))
    assert entry["id"] == "model.access"
    assert said in entry["remedy"]


GREEN: list[dict[str, Any]] = [
    {"os": {"id": "debian", "version_id": "13"}},
    {"os": {"id": "ubuntu", "version_id": "24.04"}},
    {"os": {"id": "ubuntu", "version_id": "24.04"}, "packages": {"held": ["linux-image-generic", "nvidia-utils-580-server"]}},
    {"cgroup_version": 1},  # which 1.34 takes
    {"k3s": {"version": "v1.33.6+k3s1"}},
    {"k3s": {"version": None}},
    {"k3s": {"server_url": "https://192.0.2.11:6443"}},
    {"routes": [{"to": "0.0.0.0/0", "device": "eno1"}, {"to": "10.42.1.0/24", "device": "flannel.1"}]},
    {"selinux": "permissive"},
    {"secure_boot": True},  # and the driver is loaded
    {"resolver": {"servers": {"127.0.0.53": ""}, "upstream": ["192.0.2.53"]}},
]


@pytest.mark.parametrize("change", GREEN, ids=str)
def test_what_is_no_fault_is_green(look: Look, change: dict[str, Any]) -> None:
    probe = look["hosts"]["gpu-1"]["probe"]
    for key, value in change.items():
        probe[key] = probe[key] | value if isinstance(value, dict) else value
    assert [entry for entry in checks.judge(look) if not entry["ok"]] == []


def test_a_published_revision_needs_no_space_and_no_token(look: Look) -> None:
    look["sizes"]["llama"] = {"store": 60 << 30, "weights": 15 << 30, "access": 403}
    put(look, "hosts/server-1/probe/store", {f"/srv/models/org/llama/{REVISION}": {"files": 3}})
    assert red(look) == []


def test_what_k3s_itself_holds_is_free(look: Look) -> None:
    seen = look["hosts"]["server-1"]["probe"]
    seen["k3s"]["active"] = True
    seen["ports_listening"] = [{"protocol": "tcp", "port": 6443, "process": "k3s"}]
    seen["interfaces"].append({"name": "cni0", "mtu": 8950, "speed": None, "addresses": ["10.42.0.1"]})
    seen["routes"].append({"to": "10.42.1.0/24", "device": "eno1"})
    assert [entry for entry in checks.judge(look) if not entry["ok"]] == []


def test_a_server_that_waits_for_its_peers_holds_its_own_ports(look: Look) -> None:
    seen = look["hosts"]["server-1"]["probe"]
    seen["k3s"] |= {"active": False, "unit": "k3s.service"}
    seen["ports_listening"] = [{"protocol": "tcp", "port": 6443, "process": "k3s", "unit": "k3s.service"}]
    assert [entry for entry in checks.judge(look) if not entry["ok"]] == []


@pytest.mark.parametrize(("backend", "process", "unit"), [("ganesha", "main", "nfs-ganesha.service"), ("kernel", "", "")])
def test_an_nfs_server_may_hold_its_port(look: Look, backend: str, process: str, unit: str) -> None:
    look["storage"]["backend"] = backend
    held = {"protocol": "tcp", "port": 2049, "process": process, "unit": unit}
    look["hosts"]["server-1"]["probe"]["ports_listening"] = [held]
    assert [entry for entry in checks.judge(look) if not entry["ok"]] == []


def test_a_proxy_that_is_declared_is_no_surprise(look: Look) -> None:
    look["proxy"] = True
    look["hosts"]["gpu-1"]["probe"]["proxies"] = ["http://proxy:3128 in /etc/environment"]
    assert [entry for entry in checks.judge(look) if not entry["ok"]] == []

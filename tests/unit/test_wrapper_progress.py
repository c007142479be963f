"""What a user sees: plain lines, live lines, causes."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rackstart import failure, progress
from rackstart.engine import Result
from rackstart.events import StageEvents
from rackstart.progress import Progress
from rackstart.stages import Stage

HOST = Stage("host", "all", (), "")
HOSTS = ["a", "b"]


def event(kind: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": data, "stdout": f"{kind} {data.get('host', '')}".strip()}


EVENTS = [
    event("playbook_on_task_start", task="Install packages", role="host"),
    event("runner_on_ok", host="a", task="Install packages", role="host", res={"changed": True}),
    event("runner_on_unreachable", host="b", task="Install packages", role="host", res={"msg": "ssh: No route to host"}),
    event("playbook_on_task_start", task="Restart"),
    event("runner_on_ok", host="a", task="Restart", res={"notes": ["b was away for 5 s"]}),
    event("playbook_on_stats", ok={"a": 2}, changed={"a": 1}, dark={"b": 1}),
]


def fold(events: list[dict[str, Any]]) -> StageEvents:
    seen = StageEvents()
    for one in events:
        seen.add(one)
    return seen


def screen(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def show(console: Console, verbose: bool = False) -> None:
    seen = StageEvents()
    with Progress(console, 9, verbose) as shown:
        shown.started(HOST, HOSTS)
        for one in EVENTS:
            seen.add(one)
            shown.event(HOST, seen, one)
        shown.finished(Result(HOST, "failed", hosts=HOSTS, seconds=65, events=seen))
        shown.finished(Result(Stage("nodes", "k3s_agent", (), ""), "skipped", "no hosts in k3s_agent"))


def test_plain_lines() -> None:
    console = Console(file=io.StringIO(), markup=False, highlight=False, soft_wrap=True)
    show(console)
    assert [line[9:] for line in screen(console).splitlines()] == [
        "start       host       on a, b",
        "note        host       b was away for 5 s",
        "failed      host        1:05  2 hosts  b failed  1 changed",
        "skipped     nodes      no hosts in k3s_agent",
    ]


def test_verbose_shows_what_ansible_says() -> None:
    console = Console(file=io.StringIO(), markup=False, highlight=False, soft_wrap=True)
    show(console, verbose=True)
    assert "host      | runner_on_ok a" in screen(console)


def test_a_terminal_shows_the_running_stage_live() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, markup=False, highlight=False)
    shown = Progress(console, 9)
    with shown:
        shown.started(HOST, HOSTS)
        shown.event(HOST, fold(EVENTS[:2]), EVENTS[1])
        console.print(shown._table())
    assert re.search(r"running +host +0:00 1/2 hosts  1 changed  host : Install packages", screen(console))


def test_long_silence_is_broken_in_plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), markup=False, highlight=False, soft_wrap=True)
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress(console, 9)
    shown.started(HOST, HOSTS)
    shown.event(HOST, fold(EVENTS[:1]), EVENTS[0])
    for _ in range(70):
        now[0] += 1
        shown.tick()
    assert screen(console).count("still       host       ") == 2
    assert "0:30  host : Install packages" in screen(console)


def test_events_fold_into_counts_changes_and_failures() -> None:
    seen = fold(EVENTS)
    assert seen.hosts["a"] == {"ok": 2, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 0}
    assert seen.changes == [("host : Install packages", "a")]
    assert seen.notes == ["b was away for 5 s"]
    assert [(lost.host, lost.unreachable) for lost in seen.failures] == [("b", True)]


@pytest.mark.parametrize(
    ("result", "shown", "told"),
    [
        ({"changed": True, "changes": ["/etc/a", "/etc/b"]}, "", "host : Write: /etc/a, /etc/b"),
        ({"changed": True}, "", "host : Write"),
        ({"changed": False, "changes": []}, "", None),
        ({"censored": "hidden"}, 'changed: [a] => {"censored": "hidden"}', "host : Write"),
        ({"censored": "hidden"}, 'ok: [a] => {"censored": "hidden"}', None),
    ],
)
def test_a_change_is_told_with_what_of_it_as_far_as_it_may_be(result: dict[str, Any], shown: str, told: str | None) -> None:
    ended = {**event("runner_on_ok", host="a", task="Write", role="host", res=result), "stdout": shown}
    assert fold([ended]).changes == ([(told, "a")] if told else [])


def test_only_failures_for_good_count() -> None:
    rescued = [event("runner_on_failed", host="a", task="Try", res={"msg": "x"}), event("playbook_on_stats", ok={"a": 1}, rescued={"a": 1})]
    ignored = [event("runner_on_failed", host="a", task="Try", ignore_errors=True, res={"msg": "x"})]
    assert fold(rescued).failures == fold(ignored).failures == []


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": "non-zero return code", "stderr": "E: no disk"}, "non-zero return code\nE: no disk"),
        ({"censored": "hidden due to the fact that 'no_log: true'"}, "hidden due to the fact that 'no_log: true'"),
        (
            {"msg": "items", "results": [{"failed": False}, {"failed": True, "msg": "one"}, {"failed": True, "msg": "two"}]},
            "one (and 1 more)",
        ),
        ({}, "no message"),
    ],
)
def test_the_message_is_the_telling_one(result: dict[str, Any], message: str) -> None:
    seen = fold([event("runner_on_failed", host="a", task="Try", res=result)])
    assert seen.failures[0].message == message


@pytest.mark.parametrize(
    "lines", [["[ERROR]: x", "Origin: p.yml:1:2", "1 - hosts: y"], ["[ERROR]: x\r\nOrigin: p.yml:1:2\r\n\r\n1 - hosts: y"]]
)
@pytest.mark.parametrize("kind", ["verbose", "error"])
def test_an_error_of_the_playbook_is_told_with_its_place_and_no_more_of_it(kind: str, lines: list[str]) -> None:
    [seen] = fold([{"event": kind, "stdout": line} for line in lines]).errors
    assert (seen.message, seen.place) == ("x", "p.yml:1:2")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("rack@10.0.0.1: Permission denied (publickey,password).", "refuses the login"),
        ("Host key verification failed.", "known_hosts"),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host", "off, booting, or not reachable"),
        ("Connection timed out during banner exchange", "off, booting, or not reachable"),
        ("Could not resolve hostname gpu-9: Name or service not known", "ansible_host and DNS"),
        ("Task failed: Timed out after 60 second(s).", "cluster's API does not answer"),
        ("Exception '500 etcdserver: request timed out' raised", "cluster's API does not answer"),
        ("Exception 'string indices' raised while trying to get resource using (name=gpu-1)", "cluster's API does not answer"),
        ("Error mounting /srv/models: mount.nfs: Connection refused", "the filer's exports"),
        ("Reboot command failed. Error was: ', Failed to talk to init daemon'", "does not reboot"),
        ("Timed out waiting for last boot time check (timeout=900)", "does not reboot"),
        ("Missing sudo password", "ansible_become_password"),
        ("Incorrect sudo password", "ansible_become_password"),
        ("OSError: [Errno 28] No space left on device", "disk"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend", "another package manager"),
        ("The checksum for /usr/local/bin/k3s did not match aa; it was bb.", "artifacts.lock.yml"),
        ("files.k3s is not locked", "lock command"),
        ("failure 1 during daemon-reexec: Failed to reload daemon: Connection timed out", "systemd refuses"),
        ("Unable to start service k3s: Job failed", "systemd refuses"),
        ("Command failed rc=1, out=, err=Could not set property: Activation of org.freedesktop.hostname1 refused", "hostnamed"),
        ("Request failed: <urlopen error timed out>", "artifact_mirror"),
        ("failed to create temporary content file: timed out", "artifact_mirror"),
        ('Data could not be sent to remote host "10.0.0.1". Make sure this host can be reached over ssh: ', "off, booting"),
        ("Make sure this host can be reached over ssh: ssh: Could not resolve hostname gpu-9", "DNS"),
        ("E: Failed to fetch http://10.0.0.2/x.deb  404", "artifact_mirror"),
        ("Attempting to decrypt but no vault secrets found.", "ANSIBLE_VAULT_PASSWORD_FILE"),
        ("the output has been hidden due to the fact that 'no_log: true'", "secrets"),
    ],
)
def test_likely_causes(message: str, cause: str) -> None:
    assert cause in (failure.likely_cause(message) or "")


@pytest.mark.parametrize("message", ["/readyz answered 500", "Taken back: tiny to weights-tiny with vllm@sha256:83f4d249"])
def test_an_unknown_message_has_no_cause(message: str) -> None:
    assert failure.likely_cause(message) is None


@pytest.mark.parametrize("ran", [["apt-mark", "hold", "a b"], "apt-mark hold 'a b'"])
def test_a_command_that_fails_can_be_tried_by_hand(ran: Any) -> None:
    for result in ({"cmd": ran, "msg": "x"}, {"msg": "items", "results": [{"cmd": "true"}, {"failed": True, "cmd": ran, "msg": "x"}]}):
        seen = fold([event("runner_on_failed", host="gpu-1", task="Hold", res=result)]).failures[0]
        assert failure.remedy(seen) == ("by hand", "`sudo apt-mark hold 'a b'` on gpu-1 shows more")


def test_a_likely_cause_says_more_than_the_command() -> None:
    result = {"cmd": ["apt-get", "update"], "msg": "x", "stderr": "E: Could not get lock"}
    seen = fold([event("runner_on_failed", host="gpu-1", task="Hold", res=result)]).failures[0]
    assert (failure.remedy(seen) or ("", ""))[0] == "likely"


def test_the_failure_screen_of_many_hosts_stays_one_screen(project: Any) -> None:
    hosts = [f"gpu-{number}" for number in range(200)]
    kinds = ["disk full", "no card", "odd kernel", "no route", "strange"]
    events = [
        event("runner_on_failed", host=host, task="Try", res={"msg": f"{kinds[place % 5]} on {host}\n" * 40})
        for place, host in enumerate(hosts)
    ]
    console = Console(file=io.StringIO(), width=120, markup=False, highlight=False)
    result = Result(HOST, "failed", hosts=hosts, events=fold(events))
    failure.show(console, project, Path("/run"), result, "python bootstrap.py --inventory rack --resume")
    lines = screen(console).splitlines()
    assert len(lines) < 50
    assert any("gpu-0, gpu-5, gpu-10, gpu-15, gpu-20, gpu-25 and 34 more" in line for line in lines)
    assert any("and 2 more kinds of failure" in line for line in lines)
    assert lines[-1].split(maxsplit=2)[2].startswith("python bootstrap.py")

"""What has proved good is remembered, and is what a failed template is taken back to; a replica judges itself before it takes requests."""

import copy
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, golden, promotion
from ansible_collections.rackstart.cluster.plugins.modules.model_rollout import Models


def definition(revision: str, image: str = "vllm@sha256:aa") -> dict[str, Any]:
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": f"weights-tiny-{revision}", "readOnly": True}}
    spec = {"containers": [{"image": image}], "volumes": [volume, {"name": "tmp", "emptyDir": {}}]}
    return {
        "metadata": {"name": "tiny"},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 60, "template": {"spec": spec}},
    }


ONE, TWO, THREE = (definition(revision) for revision in "123")


def test_the_newest_that_proved_good_and_the_one_before_are_remembered() -> None:
    known: list[dict[str, Any]] = []
    for one in (ONE, TWO, TWO, THREE):
        known = promotion.remembered(known, one)
    assert known == [THREE, TWO]
    assert promotion.remembered(known, TWO) == [TWO, THREE]
    assert promotion.claims(known) == ["weights-tiny-2", "weights-tiny-3"]


def test_more_replicas_of_the_same_template_are_nothing_else() -> None:
    scaled = copy.deepcopy(ONE)
    scaled["spec"]["replicas"] = 5
    assert promotion.remembered([ONE], scaled) == [scaled]
    assert promotion.before([ONE], scaled) is None


@pytest.mark.parametrize(("former", "back"), [([], None), ([ONE], None), ([TWO, ONE], TWO), ([TWO], TWO)])
def test_what_a_failed_definition_is_taken_back_to(former: list[dict[str, Any]], back: dict[str, Any] | None) -> None:
    assert promotion.before(former, ONE) == back


def test_what_is_taken_back_has_as_many_replicas_as_are_declared() -> None:
    """To have fewer would end one that serves: the Deployment controller takes them of every template alike."""
    tried, alone = copy.deepcopy(THREE), copy.deepcopy(TWO)
    alone["spec"]["replicas"] = 1
    tried["spec"] |= {"replicas": 3, "strategy": {}, "progressDeadlineSeconds": 180}
    back = promotion.before([alone, ONE], tried)
    # It replaces replicas that drain as long as the one that failed says.
    assert back == TWO | {"spec": TWO["spec"] | {"replicas": 3, "strategy": {}, "progressDeadlineSeconds": 180}}


def test_it_is_kept_with_the_deployment() -> None:
    live = {"metadata": {"annotations": {promotion.GOOD: json.dumps([TWO, ONE])}}}
    assert promotion.good(live) == [TWO, ONE]
    assert promotion.good({"metadata": {}}) == promotion.good(None) == []


MODEL = {"name": "tiny", "served_name": "small", "golden_prompts": [{"prompt": "2+2?", "expect": "4"}], "replicas": 2, "context_length": 64}
PROVED = {key: MODEL[key] for key in ("served_name", "golden_prompts", "context_length")}


class Cluster:
    """A Deployment, to whose template the API adds something, and what is remembered with it."""

    def __init__(self, known: list[dict[str, Any]]) -> None:
        self.live: dict[str, Any] | None = {"metadata": {"annotations": {promotion.GOOD: json.dumps(known)}}}

    def get(self, *_: object) -> dict[str, Any] | None:
        return self.live

    def apply(self, one: dict[str, Any]) -> dict[str, Any]:
        assert self.live
        added = copy.deepcopy(one)
        added["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
        self.live = added | {"metadata": {**added["metadata"], **self.live["metadata"]}}
        return self.live

    def resource(self, *_: object) -> Any:
        def patch(body: dict[str, Any], **_: object) -> None:
            assert self.live
            self.live["metadata"] = {"annotations": body["metadata"]["annotations"]}

        return SimpleNamespace(patch=patch)


def test_what_a_model_was_asked_is_remembered_with_it() -> None:
    cluster: Any = Cluster([ONE])
    models = Models(cluster, cluster, [TWO], [MODEL])
    models.apply()
    assert models.remember() == ["weights-tiny-1", "weights-tiny-2"]
    assert promotion.good(cluster.live) == [{**TWO, "asked": PROVED}, ONE]
    assert promotion.before(promotion.good(cluster.live), THREE) == TWO


@pytest.mark.parametrize("live", [THREE, None], ids=["another template", "removed"])
def test_what_somebody_else_changed_meanwhile_has_not_proved_good(live: dict[str, Any] | None) -> None:
    cluster: Any = Cluster([ONE])
    models = Models(cluster, cluster, [TWO], [MODEL])
    models.apply()
    cluster.live = live and {**live, "metadata": cluster.live["metadata"]}
    with pytest.raises(api.ClusterError, match=r"Somebody else has changed Deployment/tiny meanwhile, .* run again"):
        models.remember()
    assert cluster.live is None or promotion.good(cluster.live) == [ONE]


def test_more_replicas_by_hand_are_no_other_template() -> None:
    cluster: Any = Cluster([])
    models = Models(cluster, cluster, [TWO], [MODEL])
    models.apply()
    cluster.live["spec"]["replicas"] = 5
    assert models.remember() == ["weights-tiny-2"]


class Engine(BaseHTTPRequestHandler):
    """Refuses with the codes that it has to, then answers."""

    asked, refusals = 0, list[int]()

    def do_POST(self) -> None:
        Engine.asked += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question, good = body["messages"][0]["content"], self.headers["Authorization"] == "Bearer the-key"
        said = {"2+2?": "It is 4.", "$$2$?": "$(HOME)", "think": None, "long": "long" * 99}.get(question, "who knows")
        status = (Engine.refusals.pop(0) if Engine.refusals else 200) if good else 401
        assert (self.path, body["model"]) == ("/v1/chat/completions", "tiny")
        self.send_response(status)
        self.end_headers()
        choice = {"message": {"content": said}, "finish_reason": "length" if question in ("2+2?", "think") else "stop"}
        answer = json.dumps({"choices": [choice]}) if status == 200 else "no chat template, " * 20
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


REFUSAL = ("no chat template, " * 20)[:200].strip()


def ask(
    port: int, prompts: list[tuple[str, str]], wait: int = 60, key: str = "the-key", **more: Any
) -> tuple[str, subprocess.CompletedProcess[str]]:
    """The program of a probe, and what came of it; run as the kubelet does."""
    asked = [{"prompt": prompt, "expect": expect} for prompt, expect in prompts]
    model = {"served_name": "tiny", "context_length": 64, "golden_prompts": asked, **more}
    program, *arguments = [part.replace("$$", "$") for part in golden.command(model, port, wait)]
    return program, subprocess.run([sys.executable, *arguments], env={"VLLM_API_KEY": key}, capture_output=True, text=True, check=False)


@pytest.fixture
def port() -> Iterator[int]:
    Engine.refusals.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("prompts", "key", "said"),
    [
        ([("2+2?", "4")], "the-key", None),
        ([("$$2$?", "$(HOME)")], "the-key", None),
        ([("2+2?", " 4 "), ("3+3?", "6")], "the-key", "golden prompt: answered 'who knows', not '6'"),
        ([("long", "4")], "the-key", f"golden prompt: answered '{'long' * 50}', not '4'"),
        ([("think", "4")], "the-key", "golden prompt: answered '', not '4'; cut off after 32 tokens: raise max_tokens"),
        ([("2+2?", "4")], "another", f"golden prompt: HTTP 401: {REFUSAL}"),
    ],
)
def test_a_replica_asks_itself(port: int, prompts: list[tuple[str, str]], key: str, said: str | None) -> None:
    program, done = ask(port, prompts, key=key)
    assert program == "python3"
    assert (done.returncode, done.stderr.strip()) == ((0, "") if said is None else (1, said))


@pytest.mark.parametrize(
    ("refusals", "wait", "asked", "said"),
    [
        ([400], 60, 1, f"golden prompt: HTTP 400: {REFUSAL}"),
        ([404], 60, 1, f"golden prompt: HTTP 404: {REFUSAL}"),
        ([503, 404], 60, 2, f"golden prompt: HTTP 404: {REFUSAL}"),
        ([503], 0, 1, "no answer yet: HTTP Error 503: Service Unavailable"),
        ([408, 429], 60, 3, ""),
    ],
)
def test_a_replica_that_refuses_is_wrong_unless_it_may_answer_later(
    port: int, refusals: list[int], wait: int, asked: int, said: str
) -> None:
    """It is asked on in one attempt: the kubelet tells only so many that fail."""
    Engine.refusals[:], before = refusals, Engine.asked
    _, done = ask(port, [("2+2?", "4")], wait)
    assert (done.returncode, done.stderr.strip(), Engine.asked - before) == (bool(said), said, asked)


@pytest.mark.parametrize(
    ("context", "own", "tokens", "seconds"), [(256, None, 128, 72), (8192, None, 1024, 162), (8192, 4, 4, 60), (8192, 4000, 4000, 460)]
)
def test_an_answer_may_have_thoughts_before_it_and_time_for_them(context: int, own: int | None, tokens: int, seconds: int) -> None:
    asked = golden.request({"served_name": "tiny", "context_length": context}, {"prompt": "2+2?", "max_tokens": own})
    assert (asked["max_tokens"], golden.patience(asked)) == (tokens, seconds)


@pytest.mark.parametrize(("limit", "asked", "said"), [(None, 1, ""), (3600, 1, ""), (1e-9, 2, "s; golden_seconds is 1e-09")])
def test_an_answer_that_is_late_twice_is_wrong(port: int, limit: float | None, asked: int, said: str) -> None:
    before = Engine.asked
    _, done = ask(port, [("2+2?", "4")], golden_seconds=limit)
    assert (done.returncode, Engine.asked - before) == (bool(said), asked)
    assert done.stderr.startswith("golden prompt: answered after") == bool(said)
    assert done.stderr.strip().endswith(said)


def test_a_replica_that_is_not_up_yet_is_not_wrong() -> None:
    _, done = ask(1, [("2+2?", "4")], 0)
    assert (done.returncode, done.stderr[:14]) == (1, "no answer yet:")


@pytest.mark.parametrize(
    ("replicas", "live", "replaced"),
    [(1, ONE, ["tiny"]), (1, TWO, []), (1, None, []), (2, ONE, [])],
    ids=["its only replica", "nothing of the replica", "the first one", "one of several"],
)
def test_what_a_change_takes_out_of_service(replicas: int, live: dict[str, Any] | None, replaced: list[str]) -> None:
    wanted = copy.deepcopy(TWO)
    wanted["spec"]["replicas"] = replicas
    cluster = SimpleNamespace(get=lambda *_: live)
    models = Models(cluster, SimpleNamespace(changes=[("Deployment/tiny", live or {}, wanted)]), [wanted], [])
    assert models.replaced() == replaced


LARGE = {**ONE, "asked": PROVED | {"served_name": "large"}}


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([LARGE, TWO], ["tiny is served as small instead of large: both names get 404 until stage gateway has run"]),
        ([{**TWO, "asked": PROVED}, LARGE], []),
        ([ONE], []),
        ([], []),
    ],
    ids=["another name", "the same as now", "nobody knows which it was", "its first"],
)
def test_a_change_of_the_served_name_is_foretold(known: list[dict[str, Any]], told: list[str]) -> None:
    cluster: Any = Cluster(known)
    assert Models(cluster, cluster, [THREE], [MODEL]).renamed() == told

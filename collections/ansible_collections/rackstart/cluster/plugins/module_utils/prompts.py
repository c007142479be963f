"""Golden prompts, asked of single replicas from outside."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, golden, inference, pods, workloads

Answer = dict[str, t.Any]
AT_ONCE = 8  # replicas that are asked at the same time
TRIES = 2  # of a prompt that is not answered, or late: the API on the way may be away for a moment, and the replica has clients


def _ask(cluster: api.Cluster, model: dict[str, t.Any], pod: api.Object, timeout: int, key: str) -> Answer:
    name = pod["metadata"]["name"]
    asked, limit = [], model.get("golden_seconds")
    for prompt in model["golden_prompts"]:
        body = golden.request(model, prompt)
        result = {"prompt": prompt["prompt"], "expect": prompt["expect"], "answer": None, "problem": "", "late": ""}
        for _ in range(TRIES):
            started = time.monotonic()
            try:
                found = cluster.post(pods.NAMESPACE, name, inference.PORT, "/v1/chat/completions", body, timeout, key)
                seconds = time.monotonic() - started
                choice = found["choices"][0]
                late = f"answered after {seconds:.1f} s; golden_seconds is {limit}" if limit and seconds > limit else ""
                problem = golden.problem(body, choice, prompt["expect"])
                result |= {"answer": choice["message"].get("content") or "", "problem": problem, "late": late}
                if not late:
                    break
            except (api.ClusterError, KeyError, IndexError) as error:
                if result["answer"] is None:
                    slow = isinstance(error.__cause__, TimeoutError)
                    result |= {"problem": "", "late": f"no answer within {timeout} s"} if slow else {"problem": str(error), "late": ""}
        asked.append(result)
    return {"model": model["name"], "pod": name, "node": pod["spec"].get("nodeName", ""), "prompts": asked}


def replicas(cluster: api.Cluster, model: dict[str, t.Any]) -> list[api.Object]:
    """The model's pods that take requests."""
    match = pods.selector(pods.labels(model["name"], "inference"))
    found = cluster.list("v1", "Pod", pods.NAMESPACE, ",".join(f"{key}={value}" for key, value in match.items()))
    return [pod for pod in found if workloads.pod_ready(pod)]


def ask_all(cluster: api.Cluster, model: dict[str, t.Any], timeout: int) -> list[Answer]:
    """Every ready replica's answer to every golden prompt of the model. timeout: seconds for one answer."""
    found, key = replicas(cluster, model), cluster.secret(pods.NAMESPACE, inference.KEY_SECRET).get("key", "")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda pod: _ask(cluster, model, pod, timeout, key), found))


def proved(cluster: api.Cluster, models: list[dict[str, t.Any]], timeout: int) -> list[Answer]:
    """Every replica's answers. Raises ClusterError when one is wrong, or not all replicas are there to be asked.

    What comes late is not wrong: clients are asking too by now, and each replica was in time when it started.
    """
    answers = []
    for model in models:
        found = ask_all(cluster, model, timeout)
        answers += found
        if len(found) != model["replicas"]:
            raise api.ClusterError(f"{model['name']}: {len(found)} of {model['replicas']} replicas are ready to answer.")
    if lines := [text for answer in answers for text in _lines(answer, "problem")]:
        raise api.ClusterError("\n".join(["Wrong answers:", *lines]))
    return answers


def wrong(answer: Answer) -> list[str]:
    """What is wrong with a replica's answers, one line each."""
    return _lines(answer, "problem", "late")


def late(answer: Answer) -> list[str]:
    """Which of a replica's answers came late, or not at all in the time they had, one line each."""
    return _lines(answer, "late")


def _lines(answer: Answer, *kinds: str) -> list[str]:
    return [
        f"{answer['pod']} on {answer['node']}: {item['prompt']!r}: {text}, expected {item['expect']!r}"
        for item in answer["prompts"]
        if (text := next(filter(None, map(item.get, kinds)), ""))
    ]

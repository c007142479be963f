#!/usr/bin/python
"""Clients' keys at the gateway."""

from __future__ import annotations

import concurrent.futures
import datetime
import time
import typing as t
from collections.abc import Callable

from ansible_collections.rackstart.cluster.plugins.module_utils import api, gateway_keys, gateway_objects, gateway_replicas, pods, workloads
from ansible_collections.rackstart.cluster.plugins.module_utils.gateway_keys import Key, KeyProblem

DOCUMENTATION = """
module: gateway_keys
short_description: Clients' keys at the gateway
description:
  - Keeps the SHA-256 of every key, with what it may do, in the Secret C(gateway-keys), and tells every replica of the gateway at once.
  - A replica that starts later reads the Secret, whose copy on its node is renewed at once as well. None is restarted.
author: The Rackstart authors
options:
  state:
    description:
      - C(present) gives a new client a key. C(first) does so when no client but Rackstart's own was ever given one, and nothing else.
      - C(rotated) gives a client a further one; the one before ends after O(overlap).
      - A rotated key has the O(models), O(rate) and O(expires) of the one before, but for those that are given.
      - C(absent) ends all keys of a client. C(own) sees to it that Rackstart's own client has just this key. C(listed) only looks.
    type: str
    choices: [present, first, rotated, absent, own, listed]
    required: true
  client:
    description: Name of the client, as the gateway's log shows it; of no meaning for C(own) and C(listed).
    type: str
    default: ""
  sha256:
    description: SHA-256 of the new key, in hexadecimal digits.
    type: str
    default: ""
  models:
    description: Served names that the key is for; every one when there are none.
    type: list
    elements: str
    default: []
  served:
    description: Served names of all models; when given, O(models) may name no other.
    type: list
    elements: str
  rate:
    description: Requests a minute that each replica of the gateway lets through; 0 for any number.
    type: int
    default: 0
  expires:
    description: Seconds since 1970 from which on the key is refused; 0 for never.
    type: int
    default: 0
  overlap:
    description: Seconds that the key before a rotated one goes on.
    type: int
    default: 0
  timeout:
    description: Seconds for every replica to be told.
    type: int
    default: 60
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Says whether it would change something.
    support: full
"""

EXAMPLES = """
- name: End the keys of a client
  rackstart.cluster.gateway_keys:
    state: absent
    client: batch-jobs
"""

RETURN = """
keys:
  description: Every key's client, models, rate, expires and created (in ISO 8601, empty for never), and its SHA-256's first digits.
  type: list
  elements: dict
  returned: success
told:
  description: Names of the replicas that hold what is stored now.
  type: list
  elements: str
  returned: success
"""

TRIES = 5  # when somebody else writes the Secret in between
GIVEN = "rackstart.io/first-key"  # annotation of the Secret once any client was given a key: it outlives the keys


def change(params: dict[str, t.Any], keys: list[Key], given: bool, now: int) -> list[Key]:
    """The keys after what was asked. given: whether any client was given one ever. Raises KeyProblem."""
    state, client = params["state"], gateway_keys.OWN if params["state"] == "own" else params["client"]
    if state == "listed" or (state == "first" and given):
        return keys
    if state == "absent":
        return gateway_keys.revoked(keys, client)
    strange = [model for model in params["models"] if params["served"] is not None and model not in params["served"]]
    if strange:
        raise KeyProblem(f"no model is served as {strange[0]}; served: {', '.join(params['served']) or 'none'}")
    new = Key(params["sha256"], client, params["expires"], params["rate"], tuple(params["models"]), now)
    if state == "rotated":
        return gateway_keys.rotated(keys, new, params["overlap"], now)
    return gateway_keys.ensured(keys, new) if state == "own" else gateway_keys.added(keys, new, now)


def store(cluster: api.Cluster, changed: Callable[[list[Key], bool], list[Key]], dry: bool) -> tuple[list[Key], bool]:
    """The keys that the Secret holds now, and whether it changed. changed: of those before, and of whether a client was ever given one."""
    for _ in range(TRIES):
        live, keys = gateway_replicas.stored(cluster)
        given = gateway_keys.for_others(keys) or GIVEN in ((live or {"metadata": {}})["metadata"].get("annotations") or {})
        wanted = changed(keys, given)
        if (live is not None and wanted == keys) or dry:
            return wanted, live is None or wanted != keys
        secret = pods.secret({gateway_objects.KEYS_FILE: gateway_keys.text(wanted)}, gateway_objects.KEYS_SECRET, "gateway")
        if given or gateway_keys.for_others(wanted):
            secret["metadata"]["annotations"] = {GIVEN: "given"}
        resource = cluster.resource("v1", "Secret")
        try:
            if live is None:
                resource.create(body=secret, namespace=pods.NAMESPACE)
            else:
                secret["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
                resource.replace(body=secret, namespace=pods.NAMESPACE)
            return wanted, True
        except api.ERRORS as error:
            if getattr(error, "status", None) != 409:
                raise
    raise api.ClusterError("The Secret of the keys is written by others all the time; run again.")


def tell(cluster: api.Cluster, budget: int, patient: bool) -> tuple[list[str], bool]:
    """Names of the replicas that hold the stored keys, and whether one did not before. patient: waits for those that are not ready.

    Somebody else may end a key meanwhile, and it must not come back: each round tells what is stored by then, the last one what still is.
    One on its way out is told as well, since clients' open connections still lead to it, but may be gone before that.
    """
    keys: list[Key] = []
    done: set[str] = set()
    last: set[str] = set()  # on their way out, and told
    problem: dict[str, t.Any] = {}
    differed = False

    def one(pod: api.Object) -> tuple[str, bool | str]:
        name = pod["metadata"]["name"]
        leaving = gateway_replicas.leaving(pod)
        try:
            if not leaving:
                gateway_replicas.refresh(cluster, pod, keys)  # first, and also of one that is starting over
            return name, gateway_replicas.told(cluster, name, keys) if leaving or workloads.pod_ready(pod) else "is not ready"
        except (api.ClusterError, *api.ERRORS) as error:
            return name, api.said(error)

    def look() -> bool | None:
        nonlocal keys, differed
        problem.clear()
        stored = gateway_replicas.stored(cluster)[1]
        if stored != keys:
            keys = stored
            done.clear()
            last.clear()
        left = [pod for pod in gateway_replicas.found(cluster) if pod["metadata"]["name"] not in done | last]
        with concurrent.futures.ThreadPoolExecutor(gateway_replicas.AT_ONCE) as pool:
            for pod, (name, said) in zip(left, pool.map(one, left), strict=True):
                leaving = gateway_replicas.leaving(pod)
                if not isinstance(said, str):
                    (last if leaving else done).add(name)
                    differed = differed or said
                elif not leaving:
                    problem[name] = said
        if gateway_replicas.stored(cluster)[1] != keys:
            problem["others"] = "write keys all the time"
            return None
        return None if problem and patient else True

    advice = f"Delete what does not answer: kubectl --namespace {pods.NAMESPACE} delete pod"
    api.poll(
        look, budget, lambda: f"Kept, but not known to every replica: {', '.join(map(' '.join, problem.items()))}. {advice}", every=0.5
    )
    return sorted(done), differed


def shown(key: Key) -> dict[str, t.Any]:
    def at(seconds: int) -> str:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds") if seconds else ""

    return {
        "client": key.client,
        "models": list(key.models),
        "rate": key.rate,
        "expires": at(key.expires),
        "created": at(key.created),
        "sha256": key.sha256[:12],
    }


def main() -> None:
    module = api.module(
        {
            "state": {"type": "str", "choices": ["present", "first", "rotated", "absent", "own", "listed"], "required": True},
            "client": {"type": "str", "default": ""},
            "sha256": {"type": "str", "default": ""},
            "models": {"type": "list", "elements": "str", "default": []},
            "served": {"type": "list", "elements": "str"},
            "rate": {"type": "int", "default": 0},
            "expires": {"type": "int", "default": 0},
            "overlap": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 60},
        }
    )
    params, told, changed = module.params, [], False
    try:
        cluster = api.Cluster(module)
        keys, changed = store(cluster, lambda before, given: change(params, before, given, int(time.time())), module.check_mode)
        if module.check_mode:
            changed = changed or any(gateway_replicas.problems(cluster).values())
        elif params["state"] != "listed":
            # The role mends a gateway that may not run at all; who ends a key has to know that it is refused everywhere.
            told, differed = tell(cluster, params["timeout"], patient=params["state"] != "own")
            changed = changed or differed
    except (KeyProblem, api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=str(error) if isinstance(error, KeyProblem) else api.reason(error))
    module.exit_json(changed=changed, keys=[shown(key) for key in keys], told=told)


if __name__ == "__main__":
    main()

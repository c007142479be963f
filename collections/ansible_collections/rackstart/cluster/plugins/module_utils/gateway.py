"""HAProxy's configuration of the gateway: who may ask which model, and where that is served. Pure functions.

Maps and rules are those of HAProxy 3.0 (https://docs.haproxy.org/3.0/configuration.html).
"""

from __future__ import annotations

import json
import typing as t

Model = dict[str, t.Any]

HEADERS = 16 * 1024  # bytes that a request's headers may have
RUNTIME_PORT = 9999  # on the pod's own loopback, which a port-forward reaches
SPARE = 64  # connections that are left to probes and metrics when clients have all of theirs
PERIOD = 60  # seconds over which a client's requests are counted
# Nothing but these, as they stand: a path that would have to be decoded or cleaned first is another one.
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
MODELS = "/v1/models"
UNAVAILABLE, AGAIN = (503, "No replica of this model is ready.", "unavailable"), {"Retry-After": "30"}
# json_query stops at MJSON_MAX_DEPTH, also in what stands before the model.
NO_MODEL = (
    "The body is no JSON object with a model, or has a backslash before a slash in the name of it: "
    "write the slash alone (in PHP: JSON_UNESCAPED_SLASHES); or what is nested deeper than 20 levels stands before it: "
    "write the model first."
)
BEARER = {"WWW-Authenticate": "Bearer"}
LISTING = '{"object": "list", "data": [%[var(txn.list),rtrim(\',\')]]}'


class Settings(t.TypedDict):
    """bind: address, and its TLS options; body: bytes of one at most; connections: of clients at once; answer: seconds until it begins."""

    bind: str
    health: str
    runtime: str
    keys: str
    body: int
    connections: int
    answer: int


def _answer(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> str:
    """An answer in the form of OpenAI's errors, as rules have it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})
    extra = "".join(f" hdr {name} '{value}'" for name, value in (headers or {}).items())
    return f"status {status} content-type application/json string '{body}'{extra}"


def error(status: int, message: str, code: str, when: str, headers: dict[str, str] | None = None) -> str:
    """A rule that refuses."""
    return f"http-request return {_answer(status, message, code, headers)} {when}"


def _quoted(text: str) -> str:
    """As it stands inside double quotes."""
    return text.replace('"', '\\"')


def _listed(name: str) -> str:
    """A rule that adds a model to the list of those that the key is for."""
    entry = _quoted(json.dumps({"id": name, "object": "model", "owned_by": "rackstart"}))
    every, named = "METH_GET { var(txn.models) -m str * }", f"METH_GET {{ var(txn.models) -m sub ,{name}, }}"
    return f'http-request set-var-fmt(txn.list) "%[var(txn.list)]{entry}," if {every} or {named}'


def _global(settings: Settings) -> list[str]:
    return [
        "global",
        "log stdout format raw local0",
        f"maxconn {settings['connections'] + SPARE}",
        # The model's name is read from the body, which has to be in one buffer whole for that.
        f"tune.bufsize {settings['body'] + 2 * HEADERS}",
        f"tune.maxrewrite {HEADERS}",
        "tune.http.maxhdr 64",
        # Keys come and go while it runs; only what is in this pod reaches it.
        f"stats socket {settings['runtime']} level admin",
        "ssl-default-bind-options ssl-min-ver TLSv1.2",
        f"hard-stop-after {settings['answer']}s",
    ]


def _defaults(settings: Settings) -> list[str]:
    return [
        "defaults",
        "mode http",
        "log global",
        "option http-no-delay",  # each piece of a stream goes on at once
        "option abortonclose",  # an engine is told that who asked has gone; it would compute on for nobody (default since 3.3)
        "option http-server-close",  # uvicorn closes a connection after 5 idle seconds: a request that meets it there would get no answer
        "timeout connect 5s",
        "timeout check 5s",  # without it a check would end after its interval, and a busy engine with it
        "timeout http-request 30s",
        "timeout http-keep-alive 60s",
        "timeout client 60s",
        "timeout queue 30s",
        f"timeout server {settings['answer']}s",
        # A request goes to another replica only when the first never got it.
        "retries 2",
        "option redispatch 1",
        "retry-on conn-failure",
        f"http-error {_answer(*UNAVAILABLE, AGAIN)}",  # of a replica that has just gone, and nobody knows it yet
    ]


def _health(settings: Settings) -> list[str]:
    return [
        "frontend _health",
        f"bind {settings['health']}",
        "no log",
        "monitor-uri /healthz",
        "http-request use-service prometheus-exporter if { path -m str /metrics }",
        "http-request return status 404",
    ]


def _frontend(models: list[Model], settings: Settings) -> list[str]:
    served = {model["name"]: model["served_name"] for model in models}
    names = " ".join(served.values())
    too_large = f"The body is longer than {settings['body']} bytes."
    return [
        "frontend _api",
        f"bind {settings['bind']}",
        f"maxconn {settings['connections']}",
        # No query, no header and nothing of the body: neither a key nor a prompt is ever in it.
        'log-format "%ci %[var(txn.client)] %HM %[var(txn.path)] %b/%s %ST %B bytes %TR/%Tw/%Tc/%Tr/%Ta ms %tsc"',
        f"acl listing path -m str {MODELS}",
        f"acl serving path -m str {' '.join(ROUTES)}",
        error(404, "There is no such route.", "not_found", "unless METH_GET listing or METH_POST serving"),
        "http-request set-var(txn.path) path",  # only now: any other may be a key or a prompt in the wrong place
        error(431, f"The headers are longer than {HEADERS} bytes.", "headers_too_long", f"if {{ req.hdrs,length gt {HEADERS} }}"),
        f"http-request set-var(txn.record) http_auth_bearer,sha2(256),hex,lower,map_str({settings['keys']})",
        "http-request set-var(txn.now) date()",
        "http-request set-var(txn.client) var(txn.record),field(1,|) if { var(txn.record) -m found }",
        "http-request set-var(txn.expires) var(txn.record),field(2,|)",
        "http-request set-var(txn.rate) var(txn.record),field(3,|)",
        "http-request set-var(txn.models) var(txn.record),field(4,|)",
        error(401, "The API key is missing or wrong.", "invalid_api_key", "unless { var(txn.record) -m found }", BEARER),
        error(
            401, "The API key has expired.", "invalid_api_key",
            "if { var(txn.expires) -m int gt 0 } { var(txn.expires),sub(txn.now) lt 1 }", BEARER,
        ),
        "http-request track-sc0 var(txn.client) table _clients",
        error(
            429, f"More requests in {PERIOD} seconds than this key may make.", "rate_limit_exceeded",
            "if { var(txn.rate) -m int gt 0 } { sc_gpc0_rate(0),sub(txn.rate) ge 0 }", {"Retry-After": str(PERIOD)},
        ),
        "http-request sc-inc-gpc0(0)",  # what is refused does not count, or who goes on trying would never be let in again
        *map(_listed, served.values()),
        'http-request return status 200 content-type application/json lf-string "' + _quoted(LISTING) + '" if METH_GET',
        error(413, too_large, "too_large", f"if {{ req.body_size gt {settings['body']} }}"),
        # Only now: who has no key fills no buffer.
        "http-request wait-for-body time 30s",
        error(413, too_large, "too_large", f"if {{ req.body_len gt {settings['body']} }}"),
        "http-request set-var(txn.model) req.body,json_query('$.model')",
        # Not repaired by a regsub of the whole body: millions of slashes in one would hold up the thread that looks for them.
        error(400, NO_MODEL, "no_model", "unless { var(txn.model) -m found }"),
        error(404, "There is no such model; GET /v1/models lists them.", "model_not_found", f"unless {{ var(txn.model) -m str {names} }}"),
        *(
            error(
                403, "The API key is not for this model.", "model_not_allowed",
                f"if {{ var(txn.model) -m str {name} }} !{{ var(txn.models) -m str * }} !{{ var(txn.models) -m sub ,{name}, }}",
            )
            for name in served.values()
        ),
        "http-request set-uri %[path]",
        *(f"use_backend {backend} if {{ var(txn.model) -m str {name} }}" for backend, name in served.items()),
    ]  # fmt: skip


def _backend(model: Model) -> list[str]:
    name = model["name"]
    return [
        f"backend {name}",
        "balance leastconn",
        "option httpchk",
        f"http-check send meth GET uri {model['health']}",
        error(*UNAVAILABLE, f"if {{ nbsrv({name}) eq 0 }}", AGAIN),
        'http-request set-header Authorization "Bearer ${ENGINE_KEY}"',
        "default-server check inter 2s fall 3 rise 1",
        *model["servers"],
    ]


def configuration(models: list[Model], settings: Settings) -> str:
    """haproxy.cfg. models: name, served_name, health: path of their checks, and servers: the lines that say where the replicas are."""
    clients = ["backend _clients", f"stick-table type string len 64 size 100k expire {2 * PERIOD}s store gpc0_rate({PERIOD}s)"]
    # A replica that is to stop serves on for engines.PRESTOP after its name has gone, also when it was the last one.
    # A DNS that is away says nothing of them: meanwhile the checks of their health do.
    holds = ["hold valid 1s", "hold obsolete 0s", "hold nx 5s", "hold timeout 1d", "hold refused 1d", "hold other 1d"]
    resolvers = ["resolvers cluster", "parse-resolv-conf", "accepted_payload_size 8192", *holds]
    sections = [
        _global(settings), _defaults(settings), resolvers, _health(settings), _frontend(models, settings), clients,
        *map(_backend, models),
    ]  # fmt: skip
    return "\n".join("".join(f"{line}\n" if number == 0 else f"    {line}\n" for number, line in enumerate(lines)) for lines in sections)

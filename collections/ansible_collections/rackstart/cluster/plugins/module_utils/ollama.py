"""Ollama as the engine of a model: its container, and how that gets the weights, starts and is ready.

Ollama asks for no key, and its API can pull, copy and delete models. What protects it is the engines' network policy, which lets in the
gateway and who reads metrics, and out to DNS alone; and the gateway, which passes on no route but those of gateway.ROUTES.
"""

from __future__ import annotations

import json
import math

from ansible_collections.rackstart.cluster.plugins.module_utils import engines, golden, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import Model, Object, Settings

HEALTH = "/"
ROOM = "1Gi"  # of the pod's own directory, which holds a link to the weights: a copy of them would end the pod
SLOW = 30  # seconds for one look at what is loaded
# Ollama's image has bash and no other program that speaks HTTP.
ANSWER = r"""
export LC_ALL=C
answer() {
  exec 3<>/dev/tcp/127.0.0.1/${OLLAMA_HOST##*:}
  printf 'POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' ${#1} "$1" >&3
  local answer=$(cat <&3) content='"content":"(([^"\\]|\\.)*)"'
  local body=${answer##*$'\n'}
  [[ $answer != HTTP/1.?' 400 '* ]] || { echo "golden prompt: HTTP 400: ${body:0:200}"; return 1; }
  [[ $answer =~ $content ]] || { echo "$MODEL_NAME does not answer: $body"; return 1; }
  said=${BASH_REMATCH[1]} cut=
  [[ $answer != *'"finish_reason":"length"'* || ! $1 =~ \"max_tokens\":\ ([0-9]+) ]] ||
    cut="; cut off after ${BASH_REMATCH[1]} tokens: raise max_tokens"
}
"""
# `ollama create` copies a file unless there is a blob by the name of its SHA-256, which the store's manifest knows and it computes anew.
START = f"""set -eu
{ANSWER}
if ! ollama show "$MODEL_NAME" >/dev/null 2>&1; then
  ollama list >/dev/null
  sum=$(sed -n "s|^\\([0-9a-f]*\\)  $MODEL_FILE\\$|\\1|p" /model/MANIFEST.sha256)
  ln -sf "/model/$MODEL_FILE" "$OLLAMA_MODELS/blobs/sha256-${{sum:?of $MODEL_FILE is not in the manifest}}"
  echo "FROM /model/$MODEL_FILE" >"$HOME/Modelfile"
  if [ -e /model/template ]; then (printf 'TEMPLATE \"\"\"'; cat /model/template; echo '\"\"\"') >>"$HOME/Modelfile"; fi
  ollama create "$MODEL_NAME" --file "$HOME/Modelfile"
fi
limit=$1 tries=$2
shift 2
while (($#)); do
  for ((left = tries; left; left--)); do
    began=${{EPOCHREALTIME/./}}
    answer "$1"
    took=$((${{EPOCHREALTIME/./}} - began))
    [[ $said == *"$2"* ]] || {{ echo "golden prompt: answered '${{said:${{#said}}>{golden.END}?-{golden.END}:0}}', not '$2'$cut"; exit 1; }}
    ((limit && took > limit)) || break
    ((left > 1)) || {{ echo "golden prompt: answered after $((took / 1000)) ms; golden_seconds is $((limit / 1000)) ms"; exit 1; }}
  done
  shift 2
done
"""
# What was unloaded, since its process ended, is loaded again beside this: a look that is cut off would cut the loading off too.
READY = f"""set -eu
{ANSWER}
loaded=$(ollama ps | sed 1d)
if [ -z "$loaded" ]; then
  answer "$1" >/dev/null 2>&1 &
  echo "$MODEL_NAME is not loaded"
  exit 1
fi
"""
# Without it Ollama computes on the CPU, wholly or in part, when the GPU is not there or too small, and says nothing.
ALL_ON_GPU = """
if [[ $loaded != *' 100% GPU '* ]]; then
  echo "not all of the model is on the GPU: $loaded"
  exit 1
fi
"""


# It ends at once when told to, so it is told so once no connection to it is left.
STOP = f"""sleep {engines.PRESTOP}
printf -v port '%04X' "${{OLLAMA_HOST##*:}}"
connected() {{
  local here state
  while read -r _ here _ state _; do
    [[ $here != *":$port" || $state != 01 ]] || return 0
  done < <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  return 1
}}
for ((left = {engines.DRAIN}; left; left--)); do
  connected || exit 0
  sleep 1
done
"""


def environment(model: Model) -> dict[str, str]:
    """Environment of the engine: one model, loaded for good, nothing from outside. The model's own comes last."""
    return {
        "HOME": "/cache",
        "MODEL_NAME": model["served_name"],
        "MODEL_FILE": model["file"],
        "OLLAMA_HOST": f"0.0.0.0:{engines.PORT}",
        "OLLAMA_MODELS": "/cache/models",
        "OLLAMA_CONTEXT_LENGTH": str(model["context_length"]),
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_LOAD_TIMEOUT": f"{engines.startup_budget(model)}s",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NO_CLOUD": "1",
        **{name: str(value) for name, value in (model.get("env") or {}).items()},
    }


def _run(script: str, *arguments: str) -> Object:
    return {"exec": {"command": ["bash", "-c", script, "ollama", *arguments]}}


def _start(model: Model) -> Object:
    """START, with golden_seconds in microseconds, and of each golden prompt the request and the answer as JSON has them."""
    asked = [(json.dumps(golden.request(model, prompt)), _as_json(prompt["expect"].strip())) for prompt in model["golden_prompts"]]
    limit = int(1e6 * (model.get("golden_seconds") or 0))
    return _run(START, str(limit), str(golden.TRIES), *(golden.literally(text) for pair in asked for text in pair))


def _as_json(text: str) -> str:
    """A part of a string as Go writes it in JSON (https://pkg.go.dev/encoding/json#Marshal)."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return written.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


def _ready(model: Model) -> Object:
    load = {"model": model["served_name"], "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    return _run(READY + (ALL_ON_GPU if engines.on_gpu(model) else ""), json.dumps(load))


def container(model: Model, settings: Settings) -> Object:
    """An engine, whose start includes that the model is made from the file, loaded and asked."""
    budget = engines.startup_budget(model)
    return {
        "name": "engine",
        "image": settings["images"]["ollama"],
        "args": ["serve"],
        "env": [{"name": name, "value": value} for name, value in environment(model).items()],
        "ports": [{"name": "http", "containerPort": engines.PORT}],
        # One attempt may last as long as all: to cut it off would begin the loading anew.
        "startupProbe": engines.ending(_start(model), engines.PERIOD, budget, math.ceil(budget / engines.PERIOD)),
        "readinessProbe": engines.probe(_ready(model), 10, SLOW, 3),
        "livenessProbe": engines.ending(engines.health(HEALTH), 10, 10, 6),
        "lifecycle": {"preStop": _run(STOP)},
        "resources": engines.resources(model),
        "securityContext": pods.CONTAINER_SECURITY | {"readOnlyRootFilesystem": settings["read_only_root"]},
        "volumeMounts": [
            {"name": "model", "mountPath": "/model", "readOnly": True},
            {"name": "cache", "mountPath": "/cache"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def volumes(_settings: Settings) -> list[Object]:
    """Its volumes beside the weights."""
    return [{"name": "cache", "emptyDir": {"sizeLimit": ROOM}}, {"name": "tmp", "emptyDir": {}}]

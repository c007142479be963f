"""Ollama as the engine of a model: its container, and how that gets the weights, starts and is ready.

Ollama asks for no key, and its API can pull, copy and delete models. What protects it is the engines' network policy, which lets in the
gateway and who reads metrics, and out to DNS alone; and the gateway, which passes on no route but those of gateway.ROUTES.
"""

from __future__ import annotations

import math

from ansible_collections.rackstart.cluster.plugins.module_utils import engines, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import Model, Object, Settings

HEALTH = "/"
ROOM = "1Gi"  # of the pod's own directory, which holds a link to the weights: a copy of them would end the pod
SLOW = 30  # seconds for one look at what is loaded
# Ollama's image has bash and no other program that speaks HTTP. One token: the weights are loaded, and compute.
ANSWER = r"""
answer() {
  local body='{"model": "'$MODEL_NAME'", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}'
  exec 3<>/dev/tcp/127.0.0.1/${OLLAMA_HOST##*:}
  printf 'POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' ${#body} "$body" >&3
  local said=$(cat <&3)
  [[ $said == *'"choices"'* ]] || { echo "$MODEL_NAME does not answer: ${said##*$'\n'}"; return 1; }
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
answer
"""
# What was unloaded, since its process ended, is loaded again beside this: a look that is cut off would cut the loading off too.
READY = f"""set -eu
{ANSWER}
loaded=$(ollama ps | sed 1d)
if [ -z "$loaded" ]; then
  answer >/dev/null 2>&1 &
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


def _probe(script: str, period: int, timeout: int, failures: int) -> Object:
    return {
        "exec": {"command": ["bash", "-c", script]},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


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
        "startupProbe": _probe(START, engines.PERIOD, budget, math.ceil(budget / engines.PERIOD)),
        "readinessProbe": _probe(READY + (ALL_ON_GPU if engines.on_gpu(model) else ""), 10, SLOW, 3),
        "livenessProbe": {"httpGet": {"path": HEALTH, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        # It ends at once when told to: what is under way has to be over by then.
        "lifecycle": {"preStop": {"sleep": {"seconds": engines.PRESTOP + engines.DRAIN}}},
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

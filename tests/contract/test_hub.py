"""The hub's pinned client fetches a file from a web server on loopback; the whole of a hub is for molecule."""

import functools
import hashlib
import http.server
import subprocess
import threading
from pathlib import Path

from lab.engine import build as engine
from rackstart.paths import ROOT

REVISION = "0123456789abcdef0123456789abcdef01234567"
# The client's bound of 50 GB, brought down to what a test can send.
FETCH = """
import importlib, sys
from pathlib import Path
import huggingface_hub.constants
sys.path.append(sys.argv[4])
huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE = 10
module_utils = importlib.import_module("ansible_collections.rackstart.cluster.plugins.module_utils.store_hub")
hub = module_utils.Hub(sys.argv[1], "", 10, 1, print)
hub.download("org/model", sys.argv[2], module_utils.RemoteFile("model.gguf", 20, None, ""), Path(sys.argv[3]))
"""


def test_a_file_beyond_the_clients_bound_is_fetched(tmp_path: Path) -> None:
    served = tmp_path / "served/org/model/resolve" / REVISION / "model.gguf"
    served.parent.mkdir(parents=True)
    served.write_bytes(hashlib.sha1(b"").digest())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        arguments = [f"http://127.0.0.1:{server.server_port}", REVISION, str(tmp_path / "model.gguf"), str(ROOT / "collections")]
        subprocess.run([engine.artifact() / "bin/python", "-c", FETCH, *arguments], env={"HOME": str(tmp_path)}, check=True)
    finally:
        server.shutdown()
    assert (tmp_path / "model.gguf").read_bytes() == served.read_bytes()

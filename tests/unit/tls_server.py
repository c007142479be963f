"""TLS of an authority that nobody knows, for a server of a test."""

import socketserver
import ssl
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.module_utils import certificates


def speak_tls(server: socketserver.TCPServer, folder: Path) -> str:
    """Give the server at 127.0.0.1 a certificate of a new authority; return the authority's PEM file."""
    authority, own = certificates.made({}, {}, ["127.0.0.1"])
    (folder / "authority.pem").write_text(authority["tls.crt"])
    (folder / "server.pem").write_text(own["tls.crt"] + own["tls.key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return str(folder / "authority.pem")

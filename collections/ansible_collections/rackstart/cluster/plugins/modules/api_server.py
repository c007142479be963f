#!/usr/bin/python
"""Which server a kubeconfig leads to."""

from __future__ import annotations

import datetime
from pathlib import Path
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID
    from kubernetes.client.configuration import Configuration
    from kubernetes.client.exceptions import ApiException
    from kubernetes.client.rest import RESTClientObject
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import load_kube_config
    from urllib3.exceptions import HTTPError
    from yaml import YAMLError

    FOUND = True
except ImportError:
    FOUND = False

DOCUMENTATION = """
module: api_server
short_description: Which server a kubeconfig leads to
description:
  - Asks it once whether it is ready, as the user of the kubeconfig, and changes nothing.
  - A kubeconfig that k3s would not write now leads to none - one of another user than the administrator, one whose certificate ends within
    a month, or one that does not check the server's.
author: The Rackstart authors
options:
  kubeconfig:
    description: File on this host, which may be missing.
    type: path
    required: true
  servers:
    description: Servers that may be asked, name to address.
    type: dict
    required: true
requirements:
  - kubernetes >= 24.2.0
  - cryptography >= 42
attributes:
  check_mode:
    description: Asks in check mode too.
    support: full
"""

EXAMPLES = """
- name: Ask the server that the kubeconfig leads to
  rackstart.cluster.api_server:
    kubeconfig: /root/.kube/config
    servers: {server-1: 10.0.0.11}
  register: known
"""

RETURN = """
name:
  description: Its name; empty when it is none of the servers, or is not ready, or does not know the user.
  type: str
  returned: success
"""

PATIENCE = (3, 5)  # seconds to connect, and for the answer
ADMINISTRATORS = "system:masters"  # group of Kubernetes that may do all
MONTH = datetime.timedelta(days=30)


def as_new(configuration: Configuration) -> bool:
    """Whether it is of an administrator, for a month at least, and checks who answers."""
    if not (configuration.cert_file and configuration.verify_ssl):
        return False
    certificate = x509.load_pem_x509_certificate(Path(configuration.cert_file).read_bytes())
    groups = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return ADMINISTRATORS in groups and certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > MONTH


def name(kubeconfig: str, servers: dict[str, str]) -> str:
    """Name of the server, or nothing."""
    configuration = Configuration()
    configuration.retries = False
    try:
        load_kube_config(kubeconfig, client_configuration=configuration)
        if not as_new(configuration):
            return ""
    except (ConfigException, YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError):  # what is no kubeconfig
        return ""
    found = {address: name for name, address in servers.items()}.get(urlsplit(configuration.host).hostname, "")
    if not found:
        return ""
    try:
        answer = RESTClientObject(configuration).request("GET", f"{configuration.host}/readyz", _request_timeout=PATIENCE)
        return found if (answer.status, answer.read()) == (200, b"ok") else ""
    except (ApiException, HTTPError, ImportError, OSError):  # the client lacks what a SOCKS proxy of the environment needs
        return ""


def main() -> None:
    module = AnsibleModule(
        {"kubeconfig": {"type": "path", "required": True}, "servers": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    if not FOUND:
        module.fail_json(msg=missing_required_lib("kubernetes and cryptography"))
    module.exit_json(changed=False, name=name(module.params["kubeconfig"], module.params["servers"]))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""The gateway's certificate: the user's, or one of an authority that is made and kept here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.module_utils import api, certificates, gateway_objects, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier

DOCUMENTATION = """
module: certificate
short_description: The gateway's certificate, of the user's or of an authority of one's own
description:
  - Without O(certificate), makes an authority once, and a certificate of it that is renewed when it ends soon or its names change.
  - With O(certificate), refuses one that has ended, that is for other names or that does not belong to its key.
  - Keeps it with its key in the Secret C(gateway-tls), the authority in C(gateway-ca), and shows neither key.
author: The Rackstart authors
options:
  authority:
    description: PEM file to write, of the authority that clients shall trust.
    type: path
    required: true
  names:
    description: Names and addresses that clients call the server by. The first is the one that a certificate of the user's must have.
    type: list
    elements: str
    required: true
  certificate:
    description: PEM file of the user's certificate and those between it and its authority.
    type: path
  private_key:
    description: PEM file of its key, without a password.
    type: path
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - cryptography
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Makes what it would make, and keeps nothing.
    support: full
"""

EXAMPLES = """
- name: Have a certificate
  rackstart.cluster.certificate:
    authority: /root/.local/state/rackstart/site/gateway-ca.crt
    names: [llm.example.org, 10.0.0.11]
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was made or changed.
  type: list
  elements: str
  returned: success
sha256:
  description: SHA-256 of the certificate, and those between it and its authority, as PEM.
  type: str
  returned: success
"""

SECRETS = ("gateway-ca", gateway_objects.TLS_SECRET)
TYPE = "kubernetes.io/tls"


def main() -> None:
    module = api.module(
        {
            "authority": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "certificate": {"type": "path"},
            "private_key": {"type": "path", "no_log": False},
        },
        required_together=[("certificate", "private_key")],
    )
    params, file, changed = module.params, Path(module.params["authority"]), False
    try:
        cluster = api.Cluster(module)
        applier = Applier(cluster, module.check_mode)
        if params["certificate"]:
            tls = certificates.given(Path(params["certificate"]), Path(params["private_key"]), params["names"][0])
        else:
            ca, tls = certificates.made(*(cluster.secret(pods.NAMESPACE, name) for name in SECRETS), params["names"])
            applier.apply(pods.secret(ca, SECRETS[0], "gateway", TYPE))
            changed = not file.exists() or file.read_text() != ca["tls.crt"]
            if changed and not module.check_mode:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file.write_text(ca["tls.crt"])
        applier.apply(pods.secret(tls, SECRETS[1], "gateway", TYPE))
    except certificates.CertificateProblem as error:
        module.fail_json(msg=str(error))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=f"The gateway's certificate cannot be kept: {api.reason(error)}")
    module.exit_json(
        changed=changed or bool(applier.changes), changes=applier.names, sha256=hashlib.sha256(tls["tls.crt"].encode()).hexdigest()
    )


if __name__ == "__main__":
    main()

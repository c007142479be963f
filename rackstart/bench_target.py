"""What `bench` measures: a model of the last verdict, what the inventory says of it, and whom its certificate is to be trusted from."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rackstart import inventory, verdict
from rackstart.errors import ConfigurationError, VerificationRed
from rackstart.paths import Project

# Authorities of Debian and its kin, of Red Hat and its kin: a Python that was built elsewhere may know of none.
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True)
class Target:
    """model: its name in the inventory; served: at the endpoint; context: tokens of prompt and answer."""

    model: str
    served: str
    url: str
    replicas: int
    context: int
    hardware: str


def find(project: Project, name: str) -> Target:
    """The model of this name, or the only one. Raises ConfigurationError, VerificationRed."""
    last = verdict.read(project)
    if last is None:
        raise ConfigurationError(f"there is no verdict: bootstrap.py --inventory {project.name} verify takes one")
    if not last.green:
        raise VerificationRed(f"the last verdict is red, and figures would be of something else: bootstrap.py --inventory {project.name}")
    urls = {endpoint.model: endpoint.url for endpoint in last.endpoints}
    if not name and len(urls) == 1:
        [name] = urls
    if name not in urls:
        raise ConfigurationError(f"{f'no model {name} is served' if name else 'say which model: --model NAME'}; served: {', '.join(urls)}")
    model = next((model for model in inventory.variable(project, "models") or [] if model["name"] == name), None)
    if model is None:
        raise ConfigurationError(f"model {name} was in the last verdict and is not in the inventory; run verify")
    seen: Any = next(gate.seen for gate in last.gates if (gate.id, gate.target) == ("replica.count", name))
    hardware = _hardware(project, model)
    return Target(name, str(model["served_name"]), urls[name], int(seen["ready"]), int(model["context_length"]), hardware)


def authority(project: Project, folder: Path) -> Path:
    """PEM file: Rackstart's own authority, or for a certificate of the site one in the folder, with those of the system and of the site."""
    if not inventory.variable(project, "gateway_certificate"):
        return project.state / "gateway-ca.crt"
    system = [file for file in (ssl.get_default_verify_paths().cafile, *BUNDLES) if file and Path(file).exists()]
    files = [*system[:1], *(inventory.variable(project, "cluster_ca_certificates") or [])]
    together = folder / "authorities.pem"
    together.write_text("\n".join(Path(file).expanduser().read_text() for file in files))
    return together


def _hardware(project: Project, model: dict[str, Any]) -> str:
    """GPUs of a replica, by the hosts in service that the model may run on."""
    gpus, wanted = int(model["gpus_per_replica"]), (model.get("node_selector") or {}).items()
    if not gpus:
        return "no GPU"
    known = inventory.load(project)

    def labels(host: str) -> dict[str, str]:
        return {"gpu": "true", **(inventory.variable(project, "node_labels_extra", host) or {})}

    pool = [host for host in known.groups.get("gpu", ()) if host not in known.out_of_service and wanted <= labels(host).items()]
    sizes = sorted({str(inventory.variable(project, "gpu_memory_mib", host)) for host in pool})
    return f"{gpus} GPU of {' or '.join(sizes)} MiB for each replica"

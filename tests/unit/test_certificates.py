"""The gateway's certificates: kept while they are good, made anew when not, and the user's own refused for a reason."""

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import certificates
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

Texts = dict[str, str]
NAMES = ["10.0.0.11", "gpu-1", "llm.example.org"]


def kept(ca: Texts, tls: Texts, names: list[str] = NAMES) -> tuple[Texts, Texts]:
    """What is there after a run."""
    return certificates.made(ca, tls, names)


def test_a_second_time_changes_nothing() -> None:
    first = kept({}, {})
    assert kept(*first) == first


@pytest.mark.parametrize(
    ("damage", "anew"),
    [
        (("tls", "tls.crt"), {"tls"}),
        (("tls", "tls.key"), {"tls"}),
        (("ca", "tls.key"), {"ca", "tls"}),
        (("ca", "tls.crt"), {"ca", "tls"}),
    ],
)
def test_what_is_lost_or_altered_is_made_anew(damage: tuple[str, str], anew: set[str]) -> None:
    before = dict(zip(("ca", "tls"), kept({}, {}), strict=True))
    altered = {name: dict(texts) for name, texts in before.items()}
    altered[damage[0]][damage[1]] = "nothing"
    after = dict(zip(("ca", "tls"), kept(**altered), strict=True))
    assert {name for name in before if before[name] != after[name]} == anew


def test_another_name_is_another_certificate_of_the_same_authority() -> None:
    ca, tls = kept({}, {})
    again = kept(ca, tls, [*NAMES, "10.0.0.12"])
    assert again[0] == ca
    assert again[1] != tls


@pytest.mark.parametrize(("days", "renewed"), [(certificates.RENEW_DAYS - 1, True), (certificates.RENEW_DAYS + 1, False)])
def test_one_that_ends_soon_is_renewed(monkeypatch: pytest.MonkeyPatch, days: int, renewed: bool) -> None:
    ca, tls = kept({}, {})
    later = certificates.now() + datetime.timedelta(days=certificates.DAYS - days)
    monkeypatch.setattr(certificates, "now", lambda: later)
    assert (kept(ca, tls) != (ca, tls)) == renewed


def test_a_client_that_trusts_the_authority_believes_the_server_and_no_other_name(tmp_path: Path) -> None:
    ca, tls = kept({}, {})
    for name, text in tls.items():
        (tmp_path / name).write_text(text)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")

    def shake(name: str) -> None:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context(cadata=ca["tls.crt"]).wrap_bio(to_client, to_server, server_hostname=name)
        answering = server.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(3):
            for side in (client, answering):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue

    for name in NAMES:
        shake(name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake("other.example.org")


def of_a_user(directory: Path, name: str, **changes: Any) -> tuple[Path, Path]:
    """A certificate that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certificates.signed("mine", changes.get("days", 30), key, (_Self(), key), [name])
    files = directory / "my.crt", directory / "my.key"
    files[0].write_text(certificates.pem(certificate))
    files[1].write_text(certificates.pem(changes.get("key", key)))
    return files


class _Self:
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "mine")])


@pytest.mark.parametrize("name", ["llm.example.org", "*.example.org"])
def test_a_certificate_of_the_user_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    files = of_a_user(tmp_path, name)
    assert certificates.given(*files, "llm.example.org") == {"tls.crt": files[0].read_text(), "tls.key": files[1].read_text()}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("other.example.org", {}, "is not for llm.example.org"),
        ("*.org", {}, "is not for llm.example.org"),
        ("llm.example.org", {"days": 0}, "ended on"),
        ("llm.example.org", {"key": ec.generate_private_key(ec.SECP256R1())}, "is not the key of"),
    ],
)
def test_a_certificate_of_the_user_that_no_client_would_believe_is_refused(
    tmp_path: Path, name: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(certificates.CertificateProblem, match=said):
        certificates.given(*of_a_user(tmp_path, name, **changes), "llm.example.org")


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(certificates.CertificateProblem, match=r"none\.crt with .* cannot be read"):
        certificates.given(tmp_path / "none.crt", tmp_path / "none.key", "llm.example.org")

"""Certificates of the gateway: of an authority of our own, or the user's and whether it can be used."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

UNUSED = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
CA_DAYS, DAYS, RENEW_DAYS = 3650, 365, 30


class CertificateProblem(Exception):
    """The user's certificate cannot be used; the message is for a person."""


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def alternatives(names: list[str]) -> list[t.Any]:
    found = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def pem(item: t.Any) -> str:
    """Of a certificate or a key."""
    encoding = serialization.Encoding.PEM
    if isinstance(item, x509.Certificate):
        return item.public_bytes(encoding).decode()
    return item.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def public(key: t.Any) -> bytes:
    """Tells whether a certificate and a key belong together."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(subject: str, days: int, key: t.Any, issuer: tuple[t.Any, t.Any] | None, names: list[str]) -> t.Any:
    """A certificate of a key: of an authority without an issuer, of a server with one (its certificate and key)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    by, by_key = (issuer[0].subject, issuer[1]) if issuer else (name, key)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(by).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now() - datetime.timedelta(hours=1)).not_valid_after(now() + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None if issuer else 0), critical=True)
    usage = dict.fromkeys(UNUSED, False)
    usage |= {"digital_signature": issuer is not None, "key_cert_sign": issuer is None, "crl_sign": issuer is None}
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False)
    if issuer:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives(names)), critical=False)
    return builder.sign(by_key, hashes.SHA256())


def read(texts: dict[str, str]) -> tuple[t.Any, t.Any] | None:
    """Certificate and key of a Secret's texts, or None when they are not there whole."""
    with contextlib.suppress(KeyError, ValueError):
        certificate = x509.load_pem_x509_certificate(texts["tls.crt"].encode())
        key = serialization.load_pem_private_key(texts["tls.key"].encode(), None)
        if public(certificate.public_key()) == public(key.public_key()):
            return certificate, key
    return None


def texts(pair: tuple[t.Any, t.Any]) -> dict[str, str]:
    """A Secret's texts of a certificate and its key."""
    return {"tls.crt": pem(pair[0]), "tls.key": pem(pair[1])}


def good(certificate: t.Any, issuer: t.Any, names: list[str]) -> bool:
    """For just these names, of this authority, and not about to end."""
    with contextlib.suppress(Exception):
        certificate.verify_directly_issued_by(issuer)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        lasts = certificate.not_valid_after_utc - now() > datetime.timedelta(days=RENEW_DAYS)
        return set(held) == set(alternatives(names)) and lasts
    return False


def made(ca: dict[str, str], tls: dict[str, str], names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of the authority and of the server's certificate: those that are there while they are good, else new ones."""
    authority = read(ca)
    if authority is None or authority[0].not_valid_after_utc - now() < datetime.timedelta(days=DAYS):
        key = ec.generate_private_key(ec.SECP256R1())
        authority = signed("Rackstart gateway CA", CA_DAYS, key, None, []), key
        ca = texts(authority)
    server = read(tls)
    if server is None or not good(server[0], authority[0], names):
        key = ec.generate_private_key(ec.SECP256R1())
        tls = texts((signed(names[0][:64], DAYS, key, authority, names), key))
    return ca, tls


def given(certificate: Path, private_key: Path, name: str) -> dict[str, str]:
    """Texts of the user's, when it can be used for this name. Raises CertificateProblem."""
    try:
        chain, key = certificate.read_text(), private_key.read_text()
        leaf = x509.load_pem_x509_certificate(chain.encode())
        loaded = serialization.load_pem_private_key(key.encode(), None)
    except (OSError, ValueError, TypeError) as error:
        remedy = "Both are PEM, the key without a password."
        raise CertificateProblem(f"{certificate} with {private_key} cannot be read: {error}. {remedy}") from error
    if public(leaf.public_key()) != public(loaded.public_key()):
        raise CertificateProblem(f"{private_key} is not the key of {certificate}.")
    if leaf.not_valid_after_utc <= now():
        raise CertificateProblem(f"{certificate} ended on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it.")
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        held = []
    [wanted] = alternatives([name])
    parent = x509.DNSName("*." + name.partition(".")[2]) if isinstance(wanted, x509.DNSName) else wanted
    if wanted not in held and parent not in held:
        raise CertificateProblem(f"{certificate} is not for {name}, which clients call the gateway by (gateway_address).")
    return {"tls.crt": chain, "tls.key": key}

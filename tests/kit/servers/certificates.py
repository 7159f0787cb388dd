"""A certificate authority for tests, which issues server certificates for this machine."""

import base64
import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from idp.clock import system_clock


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Files that a server is configured with: the chain with the authority in it, and the key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """An authority that lives for one test run; its key is in memory only."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str = "Test authority") -> Self:
        """Make a fresh authority; two of one name do not trust each other."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(subject, issuer=subject, public_key=key.public_key(), days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> str:
        """The authority's certificate, for trust stores and `certificateAuthority` fields."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    def write(self, path: Path) -> Path:
        """Write the authority's certificate to a file, for programs that want a path."""
        path.write_text(self.pem)
        return path

    def client_context(self) -> ssl.SSLContext:
        """Return a TLS context for clients that trust this authority and no other."""
        return ssl.create_default_context(cadata=self.pem)

    def spki_hash(self) -> str:
        """Return the base64 SHA-256 of the authority's public key, as Chromium takes it."""
        public_key = self.private_key.public_key()
        spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")

    def issue(
        self, directory: Path, *, names: Sequence[str] = ("127.0.0.1", "localhost"), days: int = 1
    ) -> ServerCertificate:
        """Write `tls.crt` and `tls.key` for the names into a directory, replacing older ones.

        Negative `days` make a certificate that has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.private_key.public_key())
        certificate = (
            _builder(
                _name(names[0]),
                issuer=self.certificate.subject,
                public_key=key.public_key(),
                days=days,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_san(name) for name in names]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
            .sign(self.private_key, hashes.SHA256())
        )
        directory.mkdir(parents=True, exist_ok=True)
        issued = ServerCertificate(directory / "tls.crt", directory / "tls.key")
        issued.key.touch(mode=0o600)
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        leaf = certificate.public_bytes(Encoding.PEM).decode("ascii")
        issued.certificate.write_text(leaf + self.pem)
        return issued


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, *, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = system_clock()
    ends_at = now + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends_at) - datetime.timedelta(hours=1))
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )

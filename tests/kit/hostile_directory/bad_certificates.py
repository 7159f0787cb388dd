"""Certificates that a client must not accept from a directory on this machine."""

import datetime
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from idp.clock import system_clock
from tests.kit.servers.certificates import CertificateAuthority, ServerCertificate

_HERE = x509.SubjectAlternativeName(
    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
)


def wrong_name(ca: CertificateAuthority, directory: Path) -> ServerCertificate:
    """Issue a certificate for another host."""
    return ca.issue(directory, names=["ldap.example.org"])


def expired(ca: CertificateAuthority, directory: Path) -> ServerCertificate:
    """Issue a certificate that ended yesterday."""
    return ca.issue(directory, days=-1)


def unknown_authority(ca: CertificateAuthority, directory: Path) -> ServerCertificate:
    """Issue a certificate by an authority of the same name with another key."""
    name = ca.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return CertificateAuthority.create(str(name)).issue(directory)


def self_signed(ca: CertificateAuthority, directory: Path) -> ServerCertificate:
    """Make a certificate that vouches for itself; the authority has no part in it."""
    del ca
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(key, issuer=_common_name("localhost")).add_extension(_HERE, critical=False)
    return _written(directory, builder.sign(key, hashes.SHA256()), key)


def common_name_only(ca: CertificateAuthority, directory: Path) -> ServerCertificate:
    """Issue a certificate whose name, localhost, is where names were before 2011 (RFC 6125)."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.SubjectKeyIdentifier.from_public_key(ca.private_key.public_key())
    builder = _builder(key, issuer=ca.certificate.subject).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False
    )
    return _written(directory, builder.sign(ca.private_key, hashes.SHA256()), key)


# Connect to the name localhost: at an address even a client that looks there finds nothing.
BAD_CERTIFICATES: Mapping[str, Callable[[CertificateAuthority, Path], ServerCertificate]] = {
    "wrong name": wrong_name,
    "expired": expired,
    "unknown authority": unknown_authority,
    "self-signed": self_signed,
    "name only in CN": common_name_only,
}


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(key: ec.EllipticCurvePrivateKey, *, issuer: x509.Name) -> x509.CertificateBuilder:
    now = system_clock()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name("localhost"))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(identifier, critical=False)
    )


def _written(
    directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> ServerCertificate:
    directory.mkdir(parents=True, exist_ok=True)
    issued = ServerCertificate(directory / "tls.crt", directory / "tls.key")
    issued.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return issued

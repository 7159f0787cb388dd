"""TLS to a directory: verified against the configured authorities and the configured name only.

What ldap3 would do instead verifies nothing unless told to, and compares names in its own way.
"""

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.ldap.config import Trust
from connectors.ldap.errors import TrustUnusable

_Material = tuple[bytes, bytes, bytes]
"""Authorities, our certificate, our key; empty where there is none."""


class TlsContexts:
    """Makes the context of each new connection: the same one as long as the files are the same."""

    def __init__(self, trust: Trust) -> None:
        """Read nothing yet."""
        self._trust = trust
        self._lock = threading.Lock()
        self._made_of: tuple[_Material, object] | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def verifies(self) -> bool:
        """Tell whether a server has to be who it says it is."""
        return not self._trust.skips_verification

    def current(self) -> ssl.SSLContext:
        """Return a context of what the files hold now. Raises TrustUnusable; never trusts less."""
        made_of = (self._material(), self._system_stamp())
        with self._lock:
            if self._context is None or self._made_of != made_of:
                self._context = self._build(*made_of[0])
                self._made_of = made_of
            return self._context

    def _material(self) -> _Material:
        trust = self._trust
        return (
            _read("the authorities (rootCA)", trust.ca_data, trust.ca_file),
            _read("the client certificate", trust.certificate_data, trust.certificate_file),
            _read("the client key", trust.key_data, trust.key_file),
        )

    def _system_stamp(self) -> object:
        """Return what changes when the system's authorities do, if it is them that we trust."""
        if self._trust.ca_data or self._trust.ca_file:
            return None
        try:
            paths = ssl.get_default_verify_paths()
            found = os.stat(paths.cafile or paths.openssl_cafile)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _build(self, authorities: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False
        if self._trust.skips_verification:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif authorities:
            # An authority that was given is the end of the chain, even if another one made it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            try:
                # Around the certificates people write in their own language.
                context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
            except (ssl.SSLError, ValueError) as failure:
                raise TrustUnusable(
                    "TLS: the authorities (rootCA) hold no certificate that can be read; "
                    "they have to be certificates in PEM form"
                ) from failure
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if certificate or key:
            _show(context, certificate, key)
        return context


def _read(what: str, data: str, file: str) -> bytes:
    if data or not file:
        return data.encode()
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError as failure:
        raise TrustUnusable(f"TLS: {what} cannot be read: {failure}") from failure
    if not content.strip():
        raise TrustUnusable(f"TLS: {what} cannot be used: {file} is empty")
    return content


def _show(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Show a certificate to servers; what was compared is what is loaded, not a later file."""
    try:
        with _in_memory(certificate) as certificate_path, _in_memory(key) as key_path:
            context.load_cert_chain(certificate_path, key_path, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as failure:
        raise TrustUnusable(
            "TLS: the client certificate and its key cannot be used: they have to be PEM, "
            f"belong together, and the key must not have a password ({type(failure).__name__})"
        ) from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give content a path that is on no disk; OpenSSL takes paths only."""
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Answer instead of the terminal."""
    return ""

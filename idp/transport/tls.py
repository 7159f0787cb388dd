"""TLS that we serve ourselves: its settings, its certificate, and the next certificate.

The settings belong to one context that lives as long as the process. A renewed certificate is
loaded into a fresh context, which is where a bad pair shows, and handshakes are pointed at that
one; OpenSSL takes only the certificate from it. So no reload can lose a setting, and no certificate
of another key type stays behind, as it would after loading the new one into the same context.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from idp.clock import Clock
from idp.log import log_event

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2 suites: forward secrecy and AEAD only. TLS 1.3 has no others."""

_log = logging.getLogger("idp.transport")
_Stamp = tuple[tuple[int, int, int], ...]


class TlsUnusable(Exception):
    """A certificate or key that cannot be served; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """PEM files of the certificate chain and its key, and the versions of TLS to accept."""

    cert: Path
    key: Path
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3


class ServerTls:
    """A TLS context whose certificate follows its files. `context` never changes its identity."""

    def __init__(self, settings: TlsSettings, clock: Clock) -> None:
        """Load the pair. Raises TlsUnusable; an expired certificate is a warning in the log."""
        self._settings = settings
        self._clock = clock
        self._seen = _stamp(settings)
        self._current = self._load()
        self.context = _context(settings)
        self.context.sni_callback = self._choose

    @property
    def expires_at(self) -> datetime:
        """Return when the certificate that is served now expires."""
        return self._expires_at

    def reload(self) -> None:
        """Serve the pair that is in the files now. Raises TlsUnusable; then the old one stays."""
        self._seen = _stamp(self._settings)
        self._current = self._load()

    def reload_if_changed(self) -> bool:
        """Reload if the files are not those seen last; return whether they were others.

        A bad pair raises TlsUnusable once and is then left alone until the files change again.
        """
        if _stamp(self._settings) == self._seen:
            return False
        self.reload()
        return True

    def _choose(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = _context(self._settings)
        certificate = _certificate(self._settings.cert)
        self._expires_at = certificate.not_valid_after_utc
        if self._expires_at <= self._clock():
            file = str(self._settings.cert)
            expired_at = self._expires_at.isoformat()
            log_event(
                _log, logging.WARNING, "tls_certificate_expired", file=file, expired_at=expired_at
            )
        return context


async def follow_files(
    tls: ServerTls, *, interval: float = 1.0, on_reload: Callable[[str], None]
) -> None:
    """Look at the files each `interval` seconds until cancelled and reload what has changed.

    `on_reload` hears "loaded" or "refused" for each change; a refused pair is logged, once.
    """
    while True:
        await asyncio.sleep(interval)
        try:
            changed = await asyncio.to_thread(tls.reload_if_changed)
        except TlsUnusable as error:
            log_event(_log, logging.ERROR, "tls_reload_refused", reason=str(error))
            on_reload("refused")
        else:
            if changed:
                expires_at = tls.expires_at.isoformat()
                log_event(_log, logging.INFO, "tls_reloaded", expires_at=expires_at)
                on_reload("loaded")


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    _read_pem(settings.cert)
    encrypted = b"ENCRYPTED" in _read_pem(settings.key)
    try:
        # Without a password function OpenSSL would ask for one on the terminal.
        context.load_cert_chain(settings.cert, settings.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        if encrypted:
            text = f"{settings.key}: the key is encrypted; give it without a passphrase"
            raise TlsUnusable(text) from error
        raise TlsUnusable(_reason(settings, error)) from error
    return context


def _read_pem(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise TlsUnusable(f"{file}: {(error.strerror or str(error)).lower()}") from error
    if b"-----BEGIN " not in content:
        raise TlsUnusable(f"{file}: not PEM: no line begins with '-----BEGIN'")
    return content


def _reason(settings: TlsSettings, error: Exception) -> str:
    detail = getattr(error, "reason", None) or str(error)
    if detail == "KEY_VALUES_MISMATCH":
        return f"{settings.key}: this is not the key of the certificate in {settings.cert}"
    return f"{settings.cert}, {settings.key}: cannot be loaded: {detail}"


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsUnusable(f"{file}: holds no certificate that can be read: {error}") from error


def _stamp(settings: TlsSettings) -> _Stamp:
    """Return what changes when a file is replaced or written; a missing file is a change too."""
    return tuple(_file_stamp(file) for file in (settings.cert, settings.key))


def _file_stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)

"""TLS settings hold before and after a reload; a bad pair never takes the place of a good one."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from idp.clock import system_clock
from idp.transport.tls import ServerTls, TlsSettings, TlsUnusable, follow_files
from tests.kit.http_server import EchoApp, RunningServer, read_answer, read_to_end, serving
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.waiting import soon

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Served:
    """A server over TLS, its files, and who issued its certificate."""

    server: RunningServer
    tls: ServerTls
    authority: CertificateAuthority
    directory: Path


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture
def settings(authority: CertificateAuthority, tmp_path: Path) -> TlsSettings:
    issued = authority.issue(tmp_path)
    return TlsSettings(cert=issued.certificate, key=issued.key)


@pytest.fixture
def served(authority: CertificateAuthority, settings: TlsSettings) -> Iterator[Served]:
    tls = ServerTls(settings, system_clock)
    with serving(EchoApp(), tls=tls.context) as server:
        yield Served(server, tls, authority, settings.cert.parent)


def client(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.client_context()


def serial_served(served: Served, authority: CertificateAuthority | None = None) -> str:
    context = client(authority or served.authority)
    with served.server.connect() as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
        s.sendall(GET)
        assert read_answer(s).status == 200
        certificate = s.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def assert_strict(served: Served) -> None:
    """Assert that neither TLS 1.1 nor a CBC or static RSA cipher is spoken, and what is."""
    old = client(served.authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert handshake(served.server, old) is None
    for ciphers in ("AES128-SHA:ECDHE+AES:!AESGCM:!AESCCM", "kRSA", "DHE", "AESCCM", "NULL"):
        weak = client(served.authority)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers(ciphers + ":@SECLEVEL=0")
        assert handshake(served.server, weak) is None, ciphers
    strong = client(served.authority)
    strong.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(served.server, strong) in {
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    }


def handshake(server: RunningServer, context: ssl.SSLContext) -> str | None:
    """Return the cipher agreed on, or None if there was no agreement."""
    with server.connect() as raw:
        try:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                cipher = sock.cipher()
                return cipher[0] if cipher else None
        except (ssl.SSLError, ConnectionError):
            return None


@pytest.mark.covers("R-86")
def test_only_modern_tls_is_spoken(served: Served) -> None:
    assert_strict(served)


@pytest.mark.covers("R-86", "CV-2")
def test_reload_serves_the_new_certificate_and_keeps_the_settings(served: Served) -> None:
    before = serial_served(served)
    served.authority.issue(served.directory)
    served.tls.reload()
    assert serial_served(served) != before
    assert_strict(served)


@pytest.mark.covers("R-86", "CV-2")
def test_reload_to_another_key_type_leaves_no_old_certificate(served: Served) -> None:
    before = serial_served(served)
    use_rsa(served)
    served.tls.reload()
    after = serial_served(served)
    assert after != before
    assert_strict(served)
    only_ecdsa = client(served.authority)
    only_ecdsa.maximum_version = ssl.TLSVersion.TLSv1_2
    only_ecdsa.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    assert handshake(served.server, only_ecdsa) is None


@pytest.mark.covers("CV-2")
def test_configured_minimum_outlives_a_reload(
    authority: CertificateAuthority, settings: TlsSettings
) -> None:
    strict = TlsSettings(cert=settings.cert, key=settings.key, minimum=ssl.TLSVersion.TLSv1_3)
    tls = ServerTls(strict, system_clock)
    older = client(authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(EchoApp(), tls=tls.context) as server:
        for _ in range(2):
            assert handshake(server, older) is None
            assert handshake(server, client(authority)) is not None
            tls.reload()


@pytest.mark.covers("R-86", "P-6")
def test_bad_new_pair_keeps_the_old_and_says_so_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = serial_served(served)
    heard: list[str] = []

    async def main() -> None:
        following = asyncio.create_task(
            follow_files(served.tls, interval=0.02, on_reload=heard.append)
        )
        key = served.directory / "tls.key"
        good = key.read_text()
        key.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
        await soon(lambda: heard)
        await asyncio.sleep(0.2)
        assert await asyncio.to_thread(serial_served, served) == before
        key.write_text(good)
        await soon(lambda: heard[-1] == "loaded")
        known = served.tls.expires_at
        served.authority.issue(served.directory, days=2)
        await soon(lambda: served.tls.expires_at != known and heard[-1] == "loaded")
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    # A file that is written is seen before it is whole at times.
    assert heard[0] == "refused"
    assert heard[-1] == "loaded"
    assert serial_served(served) != before
    refused = [record for record in caplog.records if record.message == "tls_reload_refused"]
    assert len(refused) == heard.count("refused")
    assert "nonsense" not in caplog.text


@pytest.mark.covers("R-86")
def test_files_behind_a_swapped_link_are_noticed(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        authority.issue(tmp_path / name)
    link = tmp_path / "data"
    link.symlink_to("one")
    tls = ServerTls(TlsSettings(cert=link / "tls.crt", key=link / "tls.key"), system_clock)
    assert not tls.reload_if_changed()
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(link)
    assert tls.reload_if_changed()
    assert not tls.reload_if_changed()


@pytest.mark.covers("R-80")
def test_idle_handshake_is_cut(served: Served) -> None:
    began = time.monotonic()
    with served.server.connect() as sock:
        assert read_to_end(sock) == b""
    assert 0.4 < time.monotonic() - began < 3


@pytest.mark.covers("R-80")
def test_handshake_that_stops_halfway_is_cut(served: Served) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client(served.authority).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with served.server.connect() as sock:
        sock.sendall(outgoing.read()[:100])
        assert len(read_to_end(sock)) < 100


@pytest.mark.covers("G-4")
def test_garbage_and_plain_http_log_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    for data in (GET, b"\x16\x03\x01\xff\xff" + b"\xff" * 500, b"\0" * 1000):
        served.server.ask_until_closed(data)
    with served.server.connect() as raw:
        context = client(CertificateAuthority.create())
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(raw, server_hostname="127.0.0.1")
    time.sleep(0.1)
    assert caplog.records == []


def test_requests_over_tls_have_limits_and_deadlines_too(served: Served) -> None:
    context = client(served.authority)
    with served.server.connect() as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
        s.sendall(GET)
        assert read_answer(s).status == 200
        s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"a" * 70000)
        assert read_answer(s).status == 413
        assert s.recv(1) == b""
    with served.server.connect() as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
        s.sendall(b"GET /")
        assert read_answer(s).status == 408


@pytest.mark.covers("R-80")
def test_reader_over_tls_that_does_not_read_is_cut(served: Served) -> None:
    context = client(served.authority)
    with served.server.connect() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(1.2)
            with contextlib.suppress(ssl.SSLError):
                assert len(read_to_end(sock)) < 8 << 20


@pytest.mark.covers("P-6")
def test_start_with_a_missing_file_names_it(settings: TlsSettings) -> None:
    settings.key.unlink()
    with pytest.raises(TlsUnusable, match=r"tls\.key: no such file or directory"):
        ServerTls(settings, system_clock)


@pytest.mark.covers("P-6")
def test_start_with_a_file_that_is_not_pem_names_it(settings: TlsSettings) -> None:
    settings.cert.write_bytes(b"\x30\x82")
    with pytest.raises(TlsUnusable, match=r"tls\.crt: not PEM"):
        ServerTls(settings, system_clock)


@pytest.mark.covers("P-6")
def test_start_with_the_key_of_another_certificate_says_so(
    authority: CertificateAuthority, settings: TlsSettings, tmp_path: Path
) -> None:
    other = authority.issue(tmp_path / "other")
    with pytest.raises(TlsUnusable, match="not the key of the certificate"):
        ServerTls(TlsSettings(cert=settings.cert, key=other.key), system_clock)


@pytest.mark.covers("P-6")
def test_start_with_an_encrypted_key_says_so_and_asks_nobody(settings: TlsSettings) -> None:
    key = load_pem_private_key(settings.key.read_bytes(), None)
    settings.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    with pytest.raises(TlsUnusable, match="encrypted; give it without a passphrase"):
        ServerTls(settings, system_clock)


def test_expired_certificate_is_a_warning(
    authority: CertificateAuthority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issued = authority.issue(tmp_path, days=-1)
    tls = ServerTls(TlsSettings(cert=issued.certificate, key=issued.key), system_clock)
    assert [record.message for record in caplog.records] == ["tls_certificate_expired"]
    assert tls.expires_at < system_clock() + timedelta(seconds=1)


def use_rsa(served: Served) -> None:
    """Replace the pair by one with an RSA key, signed by itself, and trust it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = x509.load_pem_x509_certificate((served.directory / "tls.crt").read_bytes())
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    certificate = builder.sign(served.authority.private_key, hashes.SHA256())
    (served.directory / "tls.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (served.directory / "tls.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )

"""The hostile directory over TLS: what it refuses, ignores and injects, and its certificates."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.directory_tree import ALICE, entries
from tests.kit.hostile_directory import answers
from tests.kit.hostile_directory.bad_certificates import BAD_CERTIFICATES
from tests.kit.hostile_directory.behaviours import (
    Answers,
    HangsUp,
    IgnoresTls,
    Injects,
    Silence,
)
from tests.kit.hostile_directory.requests import START_TLS, Bind, Extended
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.servers.certificates import CertificateAuthority, ServerCertificate
from tests.unit.kit.raw_ldap import RawLdap


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture(scope="module")
def certificate(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> ServerCertificate:
    return ca.issue(tmp_path_factory.mktemp("directory"))


@pytest.fixture
def directory(certificate: ServerCertificate) -> Iterator[HostileDirectory]:
    with HostileDirectory(entries(), certificate=certificate) as running:
        yield running


@pytest.fixture
def client(directory: HostileDirectory) -> Iterator[RawLdap]:
    with RawLdap(directory) as connected:
        yield connected


def test_start_tls_leads_to_tls(
    directory: HostileDirectory, client: RawLdap, ca: CertificateAuthority
) -> None:
    assert client.start_tls().result == 0
    client.shake_hands(ca.client_context())

    assert client.bind(ALICE.dn, ALICE.password).result == 0
    asked, bind = directory.seen().requests
    assert isinstance(asked, Extended)
    assert (asked.oid, asked.over_tls, bind.over_tls) == (START_TLS, False, True)
    assert [each.tls for each in directory.seen().connections] == ["TLSv1.3"]


def test_ldaps_is_tls_from_the_start(
    certificate: ServerCertificate, ca: CertificateAuthority
) -> None:
    with (
        HostileDirectory(entries(), certificate=certificate, scheme="ldaps") as directory,
        RawLdap(directory) as client,
    ):
        client.shake_hands(ca.client_context())
        assert client.bind(ALICE.dn, ALICE.password).result == 0
        assert [each.over_tls for each in directory.seen().of(Bind)] == [True]
        directory.hang_up("notice")
        assert client.answer().message_id == 0


def test_without_certificate_there_is_no_start_tls() -> None:
    with HostileDirectory(entries()) as directory, RawLdap(directory) as client:
        assert client.start_tls().result == 2


@pytest.mark.parametrize("result", [1, 52, 53])
def test_start_tls_refused_leaves_the_connection_in_clear(
    directory: HostileDirectory, client: RawLdap, result: int
) -> None:
    directory.tell("start_tls", Answers(result=result))

    assert client.start_tls().result == result
    # What a client must not do now, and what would show.
    client.bind(ALICE.dn, ALICE.password)
    assert [each.over_tls for each in directory.seen().of(Bind)] == [False]


def test_start_tls_is_never_answered(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("start_tls", Silence())
    client.socket.settimeout(0.05)

    with pytest.raises(TimeoutError):
        client.start_tls()


def test_start_tls_ends_in_hanging_up(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("start_tls", HangsUp())

    with pytest.raises(EOFError):
        client.start_tls()


def test_success_without_tls_shows_who_goes_on_in_clear(
    directory: HostileDirectory, client: RawLdap
) -> None:
    directory.tell("start_tls", IgnoresTls())

    assert client.start_tls().result == 0
    client.bind(ALICE.dn, ALICE.password)

    (bind,) = directory.seen().of(Bind)
    assert not bind.over_tls


def test_success_without_tls_keeps_the_greeting_of_who_does_not(
    directory: HostileDirectory, client: RawLdap, ca: CertificateAuthority
) -> None:
    directory.tell("start_tls", IgnoresTls())

    assert client.start_tls().result == 0
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.shake_hands(ca.client_context())

    seen = directory.seen()
    # A record of type handshake, of a TLS version, and in it the greeting.
    assert seen.connections[0].garbage[:2] == b"\x16\x03"
    assert seen.of(Bind) == []


def test_plaintext_is_injected_behind_the_answer(
    directory: HostileDirectory, client: RawLdap, ca: CertificateAuthority
) -> None:
    forged = answers.message(2, answers.result(answers.BIND, 0))
    directory.tell("start_tls", Injects(forged))

    assert client.start_tls().result == 0
    # In one segment: who reads answers from a buffer has it there now.
    assert client.left == forged
    client.shake_hands(ca.client_context())
    assert client.answer().operation.tag == answers.BIND
    assert client.bind(ALICE.dn, "wrong").result == 49
    assert [each.over_tls for each in directory.seen().of(Bind)] == [True]


@pytest.mark.parametrize("name", BAD_CERTIFICATES)
@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_bad_certificate_is_shown_and_refused(
    ca: CertificateAuthority, tmp_path: Path, name: str, scheme: str
) -> None:
    bad = BAD_CERTIFICATES[name](ca, tmp_path)
    with (
        HostileDirectory(
            entries(), certificate=bad, scheme="ldaps" if scheme == "ldaps" else "ldap"
        ) as directory,
        RawLdap(directory) as client,
    ):
        if scheme == "ldap":
            client.start_tls()
        careful = ca.client_context()
        careful.hostname_checks_common_name = False
        with pytest.raises(ssl.SSLCertVerificationError, match=_COMPLAINTS[name]):
            client.shake_hands(careful)

        seen = directory.seen()

    assert seen.connections[0].tls.startswith("failed: ")
    assert seen.of(Bind) == []


def test_name_in_cn_deceives_who_looks_there(ca: CertificateAuthority, tmp_path: Path) -> None:
    bad = BAD_CERTIFICATES["name only in CN"](ca, tmp_path)
    with HostileDirectory(certificate=bad, scheme="ldaps") as directory:
        with RawLdap(directory) as client:
            careless = ca.client_context()
            careless.hostname_checks_common_name = True
            client.shake_hands(careless)

        assert directory.seen().connections[0].tls == "TLSv1.3"


def test_certificate_can_be_changed(
    directory: HostileDirectory, ca: CertificateAuthority, tmp_path: Path
) -> None:
    directory.serve(BAD_CERTIFICATES["expired"](ca, tmp_path))

    with RawLdap(directory) as client:
        client.start_tls()
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            client.shake_hands(ca.client_context())


def test_who_never_shakes_hands_hinders_nobody(
    directory: HostileDirectory, client: RawLdap, ca: CertificateAuthority
) -> None:
    client.start_tls()

    with RawLdap(directory) as another:
        another.start_tls()
        another.shake_hands(ca.client_context())
        assert another.bind(ALICE.dn, ALICE.password).result == 0
    assert len(directory.seen().of(Bind)) == 1


_COMPLAINTS = {
    "wrong name": "Hostname mismatch",
    "expired": "certificate has expired",
    "unknown authority": "self-signed certificate in certificate chain",
    "self-signed": "self-signed certificate [(]",
    "name only in CN": "Hostname mismatch",
}

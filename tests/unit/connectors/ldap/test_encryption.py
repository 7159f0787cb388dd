"""TLS is verified, or nothing is said: certificates, names, StartTLS in every broken form."""

import asyncio
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import ConnectorUnavailable
from connectors.ldap.config import Security, Trust
from connectors.ldap.directory import Patience
from connectors.ldap.errors import TrustUnusable
from connectors.ldap.examine import Report
from connectors.ldap.tls import TlsContexts
from tests.kit.hostile_directory import answers, ber
from tests.kit.hostile_directory.bad_certificates import BAD_CERTIFICATES
from tests.kit.hostile_directory.behaviours import (
    Answers,
    Behaviour,
    HangsUp,
    IgnoresTls,
    Injects,
    Sends,
    Silence,
    Trickles,
)
from tests.kit.hostile_directory.poison import raw
from tests.kit.hostile_directory.requests import Bind, Extended, Search, Unbind
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.servers.certificates import CertificateAuthority
from tests.unit.connectors.ldap.world import config_of, honest, host_of, world

SECURITIES: list[Security] = ["ldaps", "starttls"]
SCHEMES = {"ldaps": "ldaps", "starttls": "ldap"}
QUICK = Patience(connect=1.0, login=1.5)


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture
def trust(ca: CertificateAuthority) -> Trust:
    return Trust(ca_data=ca.pem)


@pytest.fixture(params=SECURITIES)
def security(request: pytest.FixtureRequest) -> Security:
    found: Security = request.param
    return found


@pytest.fixture
def directory(
    security: Security, ca: CertificateAuthority, tmp_path: Path
) -> Iterator[HostileDirectory]:
    """Yield a directory that offers TLS in the way that is tested, with a good certificate."""
    with honest(scheme=SCHEMES[security], certificate=ca.issue(tmp_path / "good")) as running:
        yield running


def said_in_clear(directory: HostileDirectory) -> list[object]:
    """Return what was sent without TLS, StartTLS itself and farewells left out."""
    return [
        each
        for each in directory.seen().requests
        if not each.over_tls and not isinstance(each, Extended | Unbind)
    ]


@pytest.mark.covers("L-6", "CV-24")
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_everything_is_said_over_tls(
    directory: HostileDirectory, security: Security, trust: Trust, name: str
) -> None:
    with world(config_of(host_of(directory, name), security=security, trust=trust)) as here:
        assert here.login().user_id == "alice"
    seen = directory.seen()
    assert said_in_clear(directory) == []
    assert {each.tls for each in seen.connections} == {"TLSv1.3"}


@pytest.mark.covers("L-6", "CV-24")
@pytest.mark.parametrize("how", BAD_CERTIFICATES)
def test_nothing_is_said_over_a_bad_certificate(
    security: Security, ca: CertificateAuthority, trust: Trust, tmp_path: Path, how: str
) -> None:
    bad = BAD_CERTIFICATES[how](ca, tmp_path / "bad")
    with honest(scheme=SCHEMES[security], certificate=bad) as directory:
        with world(config_of(host_of(directory), security=security, trust=trust)) as here:
            with pytest.raises(ConnectorUnavailable) as refused:
                here.login()
            assert "its certificate is not trusted: " in str(refused.value)
            assert "check rootCA" in str(refused.value)
        seen = directory.seen()
    assert seen.of(Bind) == []
    assert seen.of(Search) == []


@pytest.mark.covers("L-6")
def test_authorities_of_the_system_do_not_know_ours(
    directory: HostileDirectory, security: Security
) -> None:
    with (
        world(config_of(host_of(directory), security=security)) as here,
        pytest.raises(ConnectorUnavailable, match="certificate is not trusted"),
    ):
        here.login()
    assert directory.seen().of(Bind) == []


@pytest.mark.covers("L-6")
def test_the_next_host_is_asked_when_the_first_ones_certificate_is_bad(
    directory: HostileDirectory,
    security: Security,
    ca: CertificateAuthority,
    trust: Trust,
    tmp_path: Path,
) -> None:
    bad = BAD_CERTIFICATES["expired"](ca, tmp_path / "bad")
    with honest(scheme=SCHEMES[security], certificate=bad) as first:
        hosts = (host_of(first), host_of(directory))
        with world(config_of(*hosts, security=security, trust=trust)) as here:
            assert here.login().user_id == "alice"
        assert first.seen().of(Bind) == []


def test_who_asked_for_it_verifies_nothing(
    security: Security, ca: CertificateAuthority, tmp_path: Path
) -> None:
    bad = BAD_CERTIFICATES["self-signed"](ca, tmp_path / "bad")
    with honest(scheme=SCHEMES[security], certificate=bad) as directory:
        trust = Trust(skips_verification=True)
        with world(config_of(host_of(directory), security=security, trust=trust)) as here:
            assert here.login().user_id == "alice"
            report = asyncio.run(here.connector.examine())
        assert "TLSv1.3, and nobody verified (insecureSkipVerify)" in texts(report)
        assert said_in_clear(directory) == []


def texts(report: Report) -> list[str]:
    return [step.text for step in report.steps]


def test_a_server_that_vouches_for_itself_can_be_the_authority(
    security: Security, ca: CertificateAuthority, tmp_path: Path
) -> None:
    own = BAD_CERTIFICATES["self-signed"](ca, tmp_path / "own")
    with honest(scheme=SCHEMES[security], certificate=own) as directory:
        trust = Trust(ca_file=str(own.certificate))
        with world(config_of(host_of(directory), security=security, trust=trust)) as here:
            assert here.login().user_id == "alice"


@pytest.mark.covers("L-6")
def test_files_are_read_again_for_each_new_connection(
    directory: HostileDirectory, security: Security, ca: CertificateAuthority, tmp_path: Path
) -> None:
    ca_file = CertificateAuthority.create().write(tmp_path / "ca.crt")
    trust = Trust(ca_file=str(ca_file))
    with world(config_of(host_of(directory), security=security, trust=trust)) as here:
        with pytest.raises(ConnectorUnavailable):
            here.login()
        ca.write(ca_file)
        assert here.login().user_id == "alice"
        directory.hang_up()
        ca_file.unlink()
        with pytest.raises(TrustUnusable, match=r"rootCA.*cannot be read"):
            here.login()


@pytest.mark.covers("L-6")
@pytest.mark.parametrize(
    "trust",
    [
        Trust(ca_data="no certificate"),
        Trust(ca_data="é"),
        Trust(ca_file="/dev/null"),
        Trust(ca_file="/nowhere"),
        Trust(certificate_data="x", key_data="y", skips_verification=True),
        Trust(certificate_file="/nowhere", key_file="/nowhere", skips_verification=True),
    ],
    ids=repr,
)
def test_trust_that_cannot_be_used_is_no_trust_at_all(
    directory: HostileDirectory, security: Security, trust: Trust
) -> None:
    with (
        world(config_of(host_of(directory), security=security, trust=trust)) as here,
        pytest.raises(TrustUnusable, match=r"^TLS: "),
    ):
        here.login()
    assert directory.seen().of(Bind) == []


def test_a_client_certificate_is_shown(
    directory: HostileDirectory, security: Security, ca: CertificateAuthority, tmp_path: Path
) -> None:
    # That the server sees it is shown with slapd; here, that both forms can be loaded.
    ours = ca.issue(tmp_path / "ours")
    files = Trust(ca_data=ca.pem, certificate_file=str(ours.certificate), key_file=str(ours.key))
    data = Trust(
        ca_data=ca.pem,
        certificate_data=ours.certificate.read_text(),
        key_data=ours.key.read_text(),
    )
    before = len(os.listdir("/proc/self/fd"))
    for trust in (files, data):
        with world(config_of(host_of(directory), security=security, trust=trust)) as here:
            assert here.login().user_id == "alice"
    assert len(os.listdir("/proc/self/fd")) <= before + 2


WRONG_ANSWERS: dict[str, Behaviour] = {
    "refused": Answers(result=2, text="unsupported extended operation"),
    "unwilling": Answers(result=53),
    "unavailable": Answers(result=52),
    "silence": Silence(),
    "trickles for ever": Trickles(0.1),
    "hangs up": HangsUp(),
    "hangs up with a notice": HangsUp("notice"),
    "success and then no TLS": IgnoresTls(),
    "no LDAP": Sends(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "an entry": Sends(
        lambda number: [answers.message(number, answers.entry("cn=x", {"cn": ["x"]}))]
    ),
    "another id": Sends(
        lambda number: [answers.message(number + 1, answers.result(answers.EXTENDED, 0))]
    ),
}
WAITS = {"silence", "trickles for ever", "success and then no TLS"}


@pytest.mark.covers("L-7")
@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=pytest.mark.servers if how in WAITS else ()) for how in WRONG_ANSWERS],
)
def test_without_start_tls_nothing_is_said(
    ca: CertificateAuthority, trust: Trust, tmp_path: Path, how: str
) -> None:
    with honest(certificate=ca.issue(tmp_path / "good")) as directory:
        directory.tell("start_tls", WRONG_ANSWERS[how])
        config = config_of(host_of(directory), security="starttls", trust=trust)
        with world(config, patience=QUICK) as here, pytest.raises(ConnectorUnavailable):
            here.login()
        assert said_in_clear(directory) == []
        assert directory.seen().of(Bind) == []


@pytest.mark.covers("L-7")
def test_a_server_without_tls_is_told_nothing(trust: Trust) -> None:
    with honest() as directory:
        config = config_of(host_of(directory), security="starttls", trust=trust)
        with world(config) as here, pytest.raises(ConnectorUnavailable, match="nothing was sent"):
            here.login()
        assert said_in_clear(directory) == []


INJECTED = {
    "a bind that went well": answers.message(2, answers.result(answers.BIND, 0)),
    "one octet": b"\x30",
    "half a message": ber.header(ber.SEQUENCE, 100),
    "a notice": answers.notice_of_disconnection(),
}


@pytest.mark.covers("L-7")
@pytest.mark.parametrize("what", INJECTED)
def test_plaintext_behind_the_answer_to_start_tls_ends_the_connection(
    ca: CertificateAuthority, trust: Trust, tmp_path: Path, what: str
) -> None:
    with honest(certificate=ca.issue(tmp_path / "good")) as directory:
        directory.tell("start_tls", Injects(INJECTED[what]))
        config = config_of(host_of(directory), security="starttls", trust=trust)
        with (
            world(config) as here,
            pytest.raises(ConnectorUnavailable, match="in clear behind its answer"),
        ):
            here.login()
        assert directory.seen().of(Bind) == []


@pytest.mark.covers("L-7")
def test_start_tls_is_asked_for_before_anything_else(
    ca: CertificateAuthority, trust: Trust, tmp_path: Path
) -> None:
    with honest(certificate=ca.issue(tmp_path / "good")) as directory:
        config = config_of(host_of(directory), security="starttls", trust=trust)
        with world(config) as here:
            here.login()
        first = {each.connection: each for each in reversed(directory.seen().requests)}
        assert len(first) == 2
        assert all(isinstance(each, Extended) for each in first.values())


def test_old_versions_of_tls_are_not_spoken(trust: Trust) -> None:
    contexts = TlsContexts(trust)
    context = contexts.current()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert contexts.current() is context

"""The service account: its password rotates, is missing, is wrong, and locks no account."""

import asyncio
from collections.abc import Iterator

import pytest

from connectors.base import ConnectorUnavailable, Identity
from connectors.ldap import events
from connectors.ldap.errors import ServiceBindRefused
from tests.kit.directory_tree import SERVICE
from tests.kit.hostile_directory.behaviours import Answers, Dawdles
from tests.kit.hostile_directory.requests import Bind
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import config_of, honest, host_of, searches, world


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


class Secret:
    """A password as a file or Secret holds it."""

    def __init__(self, text: str = SERVICE.password) -> None:
        self.text = text
        self.error: Exception | None = None
        self.read = 0

    def __call__(self) -> str:
        self.read += 1
        if self.error:
            raise self.error
        return self.text


def service_binds(directory: HostileDirectory) -> list[Bind]:
    return [each for each in directory.seen().of(Bind) if each.dn == SERVICE.dn]


@pytest.mark.covers("L-17")
def test_a_service_bind_that_fails_is_no_wrong_password_and_is_told(
    directory: HostileDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    with world(config_of(host_of(directory), bind_password=Secret("rotated"))) as here:
        with pytest.raises(ConnectorUnavailable) as refused:
            here.login()
        assert isinstance(refused.value, ServiceBindRefused)
        assert "check bindDN and bindPW" in str(refused.value)
        assert here.events[events.SERVICE_BIND_FAILED] == 1
    (told,) = [each for each in caplog.records if each.message == events.SERVICE_BIND_FAILED]
    assert told.levelname == "ERROR"
    assert vars(told)["bind_dn"] == SERVICE.dn
    assert "rotated" not in caplog.text + str(vars(told)) + str(refused.value)
    assert searches(directory.seen().requests) == []


@pytest.mark.covers("L-17")
def test_a_new_password_counts_at_once(directory: HostileDirectory) -> None:
    secret = Secret("old")
    with world(config_of(host_of(directory), bind_password=secret)) as here:
        for _ in range(3):
            with pytest.raises(ConnectorUnavailable):
                here.login()
        secret.text = SERVICE.password
        assert here.login().user_id == "alice"


@pytest.mark.covers("L-17")
def test_a_refused_password_is_not_tried_again_and_again(directory: HostileDirectory) -> None:
    now = [0.0]
    config = config_of(host_of(directory), bind_password=Secret("wrong"))
    with world(config, monotonic=lambda: now[0]) as here:
        tried = []
        for second in range(200):
            now[0] = float(second)
            with pytest.raises(ConnectorUnavailable):
                here.login()
            tried.append(len(service_binds(directory)) if second in (4, 5, 14, 15, 199) else 0)
        at = [tried[second] for second in (4, 5, 14, 15, 199)]
    # At 0, 5, 15, 35, 75, 135 and 195 seconds.
    assert at == [1, 2, 2, 3, 7]


@pytest.mark.covers("L-17")
def test_a_rotated_password_is_read_when_the_next_connection_is_opened(
    directory: HostileDirectory,
) -> None:
    secret = Secret()
    with world(config_of(host_of(directory), bind_password=secret)) as here:
        here.login()
        secret.text = "rotated"
        # Who is connected stays bound.
        assert here.login().user_id == "alice"
        directory.hang_up()
        with pytest.raises(ConnectorUnavailable):
            here.login()


@pytest.mark.covers("L-10", "L-17")
@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("", None, "its password is empty"),
        ("\ud800", None, "its password cannot be read: it is no UTF-8"),
        ("x", FileNotFoundError(2, "No such file", "/run/secret"), "No such file"),
        ("x", ValueError("the Secret ldap has no key password"), "the Secret ldap has no key"),
    ],
)
def test_a_password_that_is_not_there_is_told_and_nothing_is_sent(
    directory: HostileDirectory, text: str, error: Exception | None, problem: str
) -> None:
    secret = Secret(text)
    secret.error = error
    with world(config_of(host_of(directory), bind_password=secret)) as here:
        with pytest.raises(ServiceBindRefused, match=problem):
            here.login()
        assert here.events[events.SERVICE_BIND_FAILED] >= 1
    assert directory.seen().requests == []


@pytest.mark.covers("L-4", "L-17")
def test_a_host_that_cannot_judge_the_password_is_passed_over(
    directory: HostileDirectory,
) -> None:
    with honest() as other:
        directory.tell("bind", Answers(result=80))
        with world(config_of(host_of(directory), host_of(other))) as here:
            assert here.login().user_id == "alice"
            assert here.events[events.SERVICE_BIND_FAILED] == 0


@pytest.mark.covers("L-17")
def test_a_refused_password_is_not_tried_at_every_host(directory: HostileDirectory) -> None:
    with honest() as other:
        config = config_of(host_of(directory), host_of(other), bind_password=Secret("wrong"))
        with world(config) as here, pytest.raises(ServiceBindRefused):
            here.login()
        assert other.seen().requests == []


@pytest.mark.covers("L-17")
def test_many_logins_at_once_try_a_wrong_password_once(directory: HostileDirectory) -> None:
    directory.tell("bind", Dawdles(0.1))
    with world(config_of(host_of(directory), bind_password=Secret("wrong"))) as here:

        async def all_at_once() -> list[BaseException | Identity]:
            tries = [here.connector.login("alice", "x") for _ in range(20)]
            return await asyncio.gather(*tries, return_exceptions=True)

        ends = asyncio.run(all_at_once())
    assert {type(end) for end in ends} == {ServiceBindRefused}
    assert len(service_binds(directory)) == 1


@pytest.mark.covers("L-17")
@pytest.mark.parametrize("code", [8, 13])
def test_a_directory_that_wants_tls_is_told_as_that(directory: HostileDirectory, code: int) -> None:
    directory.tell("bind", Answers(result=code))
    with world(config_of(host_of(directory))) as here:
        with pytest.raises(ServiceBindRefused, match="wants TLS: set startTLS"):
            here.login()
        assert here.events[events.SERVICE_BIND_FAILED] == 1


def test_what_happens_to_everybody_is_logged_once_a_minute(
    directory: HostileDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    directory.refuse()
    with world(config_of(host_of(directory)), monotonic=lambda: now[0]) as here:
        for second in range(0, 121, 10):
            now[0] = float(second)
            with pytest.raises(ConnectorUnavailable):
                here.login()
        assert here.events[events.UNAVAILABLE] == 13
    told = [each for each in caplog.records if each.message == events.UNAVAILABLE]
    assert len(told) == 3
    assert f"localhost:{directory.port}" in vars(told[0])["problem"]

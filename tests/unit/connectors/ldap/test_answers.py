"""Answers that are not whole, that refuse, or that point elsewhere: none is a wrong password."""

from collections.abc import Iterator

import pytest

from connectors.base import BadCredentials, ConnectorUnavailable
from connectors.ldap import events
from tests.kit.directory_tree import ALICE
from tests.kit.hostile_directory.behaviours import AlsoRefers, Answers
from tests.kit.hostile_directory.requests import Bind, Request, Search
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import config_of, honest, host_of, world


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


@pytest.fixture
def other() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


def of_alice(asked: Request | None) -> bool:
    return isinstance(asked, Bind) and asked.dn == ALICE.dn


def for_groups(asked: Request | None) -> bool:
    return isinstance(asked, Search) and "member" in asked.filter


@pytest.mark.covers("L-8")
def test_references_are_ignored_and_counted_and_nothing_is_sent_there(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    directory.tell("search", AlsoRefers([f"{other.url}/dc=example,dc=org??sub", other.url]))
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        assert identity.groups == ("admins", "backend")
        assert here.refresh(identity) == identity
        with pytest.raises(BadCredentials):
            here.login_as("nobody", "x")
        assert here.events[events.REFERENCE_IGNORED] == 5
    assert other.seen().connections == []


@pytest.mark.covers("L-8")
@pytest.mark.parametrize("operation", ["search", "bind"])
def test_a_referral_is_not_followed_and_is_no_wrong_password(
    directory: HostileDirectory, other: HostileDirectory, operation: str
) -> None:
    referred = Answers(result=10, referrals=[f"{other.url}/dc=example,dc=org"])
    directory.tell(operation, referred)  # type: ignore[arg-type]
    with world(config_of(host_of(directory))) as here, pytest.raises(ConnectorUnavailable):
        here.login()
    assert other.seen().connections == []


@pytest.mark.covers("L-9")
@pytest.mark.parametrize("code", [1, 3, 4, 11, 12, 32, 50, 51, 52, 53, 80])
@pytest.mark.parametrize("where", ["people", "groups"])
def test_an_answer_that_is_not_whole_is_no_answer(
    directory: HostileDirectory, code: int, where: str
) -> None:
    def asked_here(asked: Request | None) -> bool:
        return for_groups(asked) is (where == "groups")

    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        entries = 1 if where == "groups" else 0
        directory.tell("search", Answers(result=code, entries=entries), when=asked_here)
        with pytest.raises(ConnectorUnavailable):
            here.login()
        with pytest.raises(ConnectorUnavailable):
            here.refresh(identity)


@pytest.mark.covers("L-9")
@pytest.mark.parametrize("code", [3, 8, 11, 13, 51, 52, 53, 80])
def test_a_bind_that_judges_no_password_is_no_wrong_password(
    directory: HostileDirectory, code: int
) -> None:
    directory.tell("bind", Answers(result=code), when=of_alice)
    with world(config_of(host_of(directory))) as here, pytest.raises(ConnectorUnavailable):
        here.login()


@pytest.mark.covers("L-9")
def test_a_sentence_says_what_to_mend(directory: HostileDirectory) -> None:
    directory.tell("search", Answers(result=4, text="no more than that"), when=for_groups)
    with world(config_of(host_of(directory))) as here, pytest.raises(ConnectorUnavailable) as told:
        here.login()
    assert str(told.value) == (
        "search below 'ou=groups,dc=example,dc=org': result 4 (sizeLimitExceeded): "
        "no more than that; raise the size limit of the service account"
    )

"""What operators are told: whether a directory can be asked, and where it goes wrong if not."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from connectors.base import ConnectorUnavailable
from connectors.ldap.config import Host, LdapConfig
from connectors.ldap.examine import Report
from tests.kit.directory_tree import ALICE, NO_MAIL, SERVICE, entries
from tests.kit.hostile_directory.behaviours import Answers, HangsUp
from tests.kit.hostile_directory.requests import Bind
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.servers.process import free_port
from tests.unit.connectors.ldap.world import USERS, config_of, honest, host_of, world


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


def examine(config: LdapConfig, username: str = "") -> Report:
    with world(config) as here:
        return asyncio.run(here.connector.examine(username))


def names(report: Report) -> list[str]:
    return [f"{step.name.split(' localhost')[0]}: {step.outcome}" for step in report.steps]


def test_a_probe_of_a_good_directory_returns(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        asyncio.run(here.connector.probe())
        directory.forget()
        asyncio.run(here.connector.probe())
        # Each time on a fresh connection: one that is kept says nothing of certificates.
        assert len(directory.seen().of(Bind)) == 1


BROKEN: dict[str, tuple[Callable[[HostileDirectory], None], str]] = {
    "refuses": (lambda directory: directory.refuse(), "connect to 127.0.0.1"),
    "hangs up": (
        lambda directory: directory.tell("bind", HangsUp()),
        "bind: it closed the connection",
    ),
    "no base": (
        lambda directory: directory.tell("search", Answers(result=32)),
        "the base DN is not there, or the service account may not read it",
    ),
    "reads nothing": (
        lambda directory: directory.tell("search", Answers(result=0)),
        "the base DN is not there, or the service account may not read it",
    ),
    "wrong password": (
        lambda directory: directory.tell("bind", Answers(result=49)),
        "check bindDN and bindPW",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_probe_says_what_to_mend(directory: HostileDirectory, how: str) -> None:
    breaks, sentence = BROKEN[how]
    breaks(directory)
    with world(config_of(host_of(directory))) as here:
        with pytest.raises(ConnectorUnavailable) as told:
            asyncio.run(here.connector.probe())
        assert sentence in str(told.value)
        report = asyncio.run(here.connector.examine("alice"))
        assert not report.is_well
        assert sentence in report.steps[-1].text


def test_an_examination_goes_step_by_step(directory: HostileDirectory) -> None:
    report = examine(config_of(host_of(directory)), "alice")
    assert names(report) == [
        "look up: ok",
        "connect: ok",
        "TLS: ok",
        "service bind: ok",
        "search: ok",
        "find the person: ok",
        "account: ok",
        "attributes and groups: ok",
    ]
    assert report.is_well
    assert report.identity is not None
    assert report.identity.groups == ("admins", "backend")
    assert [each.dn for each in directory.seen().of(Bind)] == [SERVICE.dn] * 2


def test_without_a_name_nobody_is_looked_for(directory: HostileDirectory) -> None:
    report = examine(config_of(host_of(directory)))
    assert names(report)[-1] == "search: ok"
    assert report.identity is None
    assert report.is_well


def test_every_host_is_examined(directory: HostileDirectory) -> None:
    dead = Host(name="localhost", port=free_port())
    report = examine(config_of(dead, host_of(directory)), "alice")
    assert [step.outcome for step in report.steps[:3]] == ["ok", "failed", "ok"]
    assert f"localhost:{dead.port}: connect" in report.steps[1].text
    assert report.identity is not None
    assert not report.is_well


def test_whom_nothing_is_found_for_is_told_with_the_filter(directory: HostileDirectory) -> None:
    report = examine(config_of(host_of(directory)), "a*b)(x")
    assert report.steps[-1].outcome == "failed"
    assert report.steps[-1].text == (
        "no entry has this name; searched for "
        r"(&(objectClass=inetOrgPerson)(uid=a\2ab\29\28x)) below 'ou=people,dc=example,dc=org'"
    )


def test_what_an_entry_lacks_is_named(directory: HostileDirectory) -> None:
    report = examine(config_of(host_of(directory)), NO_MAIL.uid)
    assert report.steps[-1].outcome == "failed"
    assert "mail" in report.steps[-1].text


def test_an_account_that_is_out_is_told() -> None:
    for attributes, sentence in (
        ({"userAccountControl": ["514"]}, "disabled"),
        ({"pwdAccountLockedTime": ["000001010000Z"]}, "locked"),
    ):
        tree = [
            (dn, {**found, **attributes} if dn == ALICE.dn else found) for dn, found in entries()
        ]
        with HostileDirectory(tree) as directory:
            report = examine(config_of(host_of(directory)), "alice")
        (account,) = [step for step in report.steps if step.name == "account"]
        assert account.outcome == "failed"
        assert sentence in account.text


def test_an_examination_of_a_closed_connector_is_a_report(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory), user_search=replace(USERS, filter=""))) as here:
        pass
    report = asyncio.run(here.connector.examine("alice"))
    assert [step.outcome for step in report.steps] == ["failed"]

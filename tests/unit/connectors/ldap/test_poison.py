"""Answers that no honest directory sends: nothing of them is used, and they cost little."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from connectors.base import BadCredentials, ConnectorUnavailable
from tests.kit.directory_tree import ALICE, GROUPS_BASE
from tests.kit.hostile_directory import answers, ber, poison
from tests.kit.hostile_directory.behaviours import Answers, AnswersAnother, Behaviour, Sends
from tests.kit.hostile_directory.poison import Poison
from tests.kit.hostile_directory.requests import Bind, Request, Search
from tests.kit.hostile_directory.server import HostileDirectory
from tests.unit.connectors.ldap.world import (
    QUICK,
    binds_of_people,
    config_of,
    honest,
    host_of,
    world,
)

MOST_GROWTH = 10 << 20
PERSON: Mapping[str, list[str | bytes]] = {"uid": ["alice"], "cn": ["A"], "mail": ["a@x"]}


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with honest() as running:
        yield running


def with_values(**attributes: list[str | bytes]) -> Poison:
    return poison.one_entry(ALICE.dn, {**PERSON, **attributes})


def result(message_id: int) -> list[bytes]:
    return [answers.message(message_id, answers.result(answers.SEARCH_DONE, 0))]


def endless_references(message_id: int) -> Iterator[bytes]:
    while True:
        yield answers.message(message_id, answers.reference(["ldap://x"])) * 100


POISONS: dict[str, Behaviour] = {
    "an entry of 100 MB": Sends(poison.huge_entry(ALICE.dn, "mail")),
    "an entry of 2 MB": Sends(poison.huge_entry(ALICE.dn, "mail", size=2 << 20)),
    "a million values": Sends(poison.many_values(ALICE.dn, "mail")),
    "six thousand values": Sends(poison.many_values(ALICE.dn, "mail", count=6000)),
    "deep entry": Sends(poison.deep_entry(ALICE.dn)),
    "deep message": Sends(poison.deep_message()),
    "claims 2 GiB": Sends(poison.claimed()),
    "endless entries": Sends(poison.endless_entries(ALICE.dn, PERSON)),
    "endless references": Sends(endless_references),
    "no LDAP": Sends(poison.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "zeros": Sends(poison.raw(bytes(1000))),
    "an indefinite length": Sends(poison.raw(b"\x30\x80\x02\x01\x01\x00\x00")),
    "another id": AnswersAnother(),
    "a negative id": Sends(lambda _: [answers.message(0x7FFFFFFF, b"\x65\x00")]),
    "an answer to a bind": Sends(
        lambda number: [answers.message(number, answers.result(answers.BIND, 0))]
    ),
    "an empty answer": Sends(lambda number: [answers.message(number, b"\x65\x00")]),
    "a result that is text": Sends(
        lambda number: [answers.message(number, ber.element(0x65, ber.octets("0") * 3))]
    ),
    "NUL in uid": Sends(with_values(uid=["alice\0admin"])),
    "bad UTF-8 in the DN": Sends(poison.one_entry(b"uid=\xff\xfe", PERSON)),
    "no DN": Sends(poison.one_entry("", PERSON)),
    "an attribute without a name in ASCII": Sends(poison.one_entry(ALICE.dn, {"mäil": ["x"]})),
}


def for_people(asked: Request | None) -> bool:
    return isinstance(asked, Search) and asked.base != GROUPS_BASE


def memory_peak() -> int:
    """Return the most memory that was in use since `forget_peak`, in bytes."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize("what", POISONS)
def test_poison_instead_of_a_person_is_no_answer_and_costs_little(
    directory: HostileDirectory, what: str
) -> None:
    with world(config_of(host_of(directory)), patience=QUICK) as here:
        identity = here.login()
        directory.tell("search", POISONS[what], when=for_people)
        forget_peak()
        before = memory_peak()
        with pytest.raises(ConnectorUnavailable):
            here.login()
        with pytest.raises(ConnectorUnavailable):
            here.refresh(identity)
        assert memory_peak() - before < MOST_GROWTH
        directory.forget()
        directory.behave()
        # What came on a poisoned connection is heard on no other one.
        assert here.login() == identity


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize(
    "what", ["an entry of 2 MB", "six thousand values", "deep entry", "another id", "zeros"]
)
def test_poison_instead_of_groups_is_no_answer(directory: HostileDirectory, what: str) -> None:
    directory.tell("search", POISONS[what], when=lambda asked: not for_people(asked))
    with (
        world(config_of(host_of(directory)), patience=QUICK) as here,
        pytest.raises(ConnectorUnavailable),
    ):
        here.login()


@pytest.mark.covers("L-14", "CV-26")
def test_poisoned_connections_are_dropped(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        here.login()
        directory.tell("search", AnswersAnother())
        with pytest.raises(ConnectorUnavailable):
            here.login()
        connections = directory.seen().connections
        # What is left is where people prove their passwords.
        assert [each.is_open for each in connections] == [False, True, False]


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize("name", poison.MALFORMED_POLICIES)
@pytest.mark.parametrize("code", [0, 49])
def test_a_malformed_policy_lets_nobody_in(
    directory: HostileDirectory, name: str, code: int
) -> None:
    control = poison.MALFORMED_POLICIES[name]
    answer = Answers(result=code, controls=[control])
    directory.tell(
        "bind", answer, when=lambda asked: isinstance(asked, Bind) and asked.dn == ALICE.dn
    )
    with world(config_of(host_of(directory))) as here:
        try:
            here.login()
        except (ConnectorUnavailable, BadCredentials):
            return
    # What is no error of a policy is none: the password was right.
    assert code == 0


@pytest.mark.covers("L-14")
def test_an_entry_without_a_dn_is_bound_by_nobody(directory: HostileDirectory) -> None:
    directory.tell("search", POISONS["no DN"], when=for_people)
    with world(config_of(host_of(directory))) as here, pytest.raises(ConnectorUnavailable):
        here.login()
    assert binds_of_people(directory.seen().requests) == []


@pytest.mark.covers("L-14", "CV-26")
def test_success_of_another_operation_proves_no_password(directory: HostileDirectory) -> None:
    directory.tell(
        "bind", Sends(result), when=lambda asked: isinstance(asked, Bind) and asked.dn == ALICE.dn
    )
    with world(config_of(host_of(directory))) as here, pytest.raises(ConnectorUnavailable):
        here.login(ALICE, "wrong")

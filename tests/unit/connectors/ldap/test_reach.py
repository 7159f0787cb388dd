"""Hosts that are dead, slow or strange, connections that broke, addresses that changed."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from connectors.base import BadCredentials, ConnectorUnavailable, Identity
from connectors.ldap import events
from connectors.ldap.config import Host
from connectors.ldap.directory import Patience
from connectors.ldap.opening import Address
from tests.kit.directory_tree import ALICE
from tests.kit.hostile_directory.behaviours import (
    Answers,
    AnswersAnother,
    Behaviour,
    Dawdles,
    HangsUp,
    Silence,
    Trickles,
)
from tests.kit.hostile_directory.requests import Bind, Request, Search
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.servers.process import free_port
from tests.unit.connectors.ldap.world import (
    QUICK,
    binds_of_people,
    config_of,
    honest,
    host_of,
    searches,
    world,
)


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


@pytest.mark.covers("L-1")
def test_a_directory_that_is_away_is_no_wrong_password_and_comes_back_at_once(
    directory: HostileDirectory,
) -> None:
    with world(config_of(host_of(directory))) as here:
        identity = here.login()
        directory.refuse()
        asks: list[Callable[[], Identity]] = [
            here.login,
            lambda: here.login_as("x", "y"),
            lambda: here.refresh(identity),
        ]
        for ask in asks:
            with pytest.raises(ConnectorUnavailable) as away:
                ask()
            assert f"localhost:{directory.port}: connect to 127.0.0.1: " in str(away.value)
        assert here.events[events.HOST_DOWN] == 1
        directory.listen()
        assert here.login() == identity
        assert here.events[events.HOST_BACK] == 1


@pytest.mark.covers("L-1")
def test_when_all_hosts_are_away_each_is_named() -> None:
    hosts = [Host(name="localhost", port=free_port()) for _ in range(2)]
    with world(config_of(*hosts)) as here, pytest.raises(ConnectorUnavailable) as away:
        here.login()
    assert all(f"localhost:{host.port}" in str(away.value) for host in hosts)


@pytest.mark.servers
@pytest.mark.covers("L-2")
@pytest.mark.parametrize("operation", ["connect", "bind", "search"])
def test_silence_ends_at_the_deadline(directory: HostileDirectory, operation: str) -> None:
    directory.tell(operation, Silence())  # type: ignore[arg-type]
    with world(config_of(host_of(directory)), patience=QUICK) as here:
        began = time.monotonic()
        with pytest.raises(ConnectorUnavailable, match="no answer in time"):
            here.login()
        assert time.monotonic() - began < QUICK.login + 3


@pytest.mark.servers
@pytest.mark.covers("L-2")
@pytest.mark.parametrize("operation", ["bind", "search"])
def test_a_byte_now_and_then_does_not_move_the_deadline(
    directory: HostileDirectory, operation: str
) -> None:
    directory.tell(operation, Trickles(0.2))  # type: ignore[arg-type]
    with world(config_of(host_of(directory)), patience=QUICK) as here:
        began = time.monotonic()
        with pytest.raises(ConnectorUnavailable):
            here.login()
        assert time.monotonic() - began < QUICK.login + 3


@pytest.mark.servers
@pytest.mark.covers("L-2")
def test_the_deadline_is_for_the_login_as_a_whole(directory: HostileDirectory) -> None:
    directory.tell("search", Dawdles(0.7))
    directory.tell("bind", Dawdles(0.7), when=of_alice)
    patience = replace(QUICK, login=1.6, trusted_idle=10.0)
    with world(config_of(host_of(directory)), patience=patience) as here:
        began = time.monotonic()
        with pytest.raises(ConnectorUnavailable):
            here.login()
        assert time.monotonic() - began < patience.login + 3


@pytest.mark.servers
@pytest.mark.covers("L-2")
def test_64_logins_wait_and_the_next_is_answered_at_once(directory: HostileDirectory) -> None:
    directory.tell("search", Silence())
    with world(config_of(host_of(directory)), patience=replace(QUICK, login=4.0)) as here:

        async def flood() -> tuple[list[float], list[BaseException]]:
            waiting = [
                asyncio.create_task(here.connector.login(ALICE.uid, ALICE.password))
                for _ in range(64)
            ]
            await asyncio.sleep(0)
            times = []
            for _ in range(20):
                began = time.monotonic()
                with pytest.raises(ConnectorUnavailable, match="as many people"):
                    await here.connector.login(ALICE.uid, ALICE.password)
                times.append(time.monotonic() - began)
            # Who looks on for an operator has threads of its own.
            with pytest.raises(ConnectorUnavailable, match="no answer in time"):
                await here.connector.probe()
            return times, await asyncio.gather(*waiting, return_exceptions=True)  # type: ignore[return-value]

        times, ends = asyncio.run(flood())
        assert max(times) < 1
        assert {type(end) for end in ends} <= {type(ends[0])}
        assert all(isinstance(end, ConnectorUnavailable) for end in ends)
        assert here.events[events.TOO_MANY_LOGINS] == 20
        # And the places are free again.
        directory.behave()
        assert here.login().user_id == "alice"


@pytest.mark.servers
@pytest.mark.covers("L-2")
def test_the_loop_goes_on_while_a_directory_is_silent(directory: HostileDirectory) -> None:
    directory.tell("connect", Silence())
    with world(config_of(host_of(directory)), patience=QUICK) as here:

        async def beat() -> int:
            login = asyncio.create_task(here.connector.login(ALICE.uid, ALICE.password))
            beats = 0
            while not login.done():
                await asyncio.sleep(0.01)
                beats += 1
            with pytest.raises(ConnectorUnavailable):
                await login
            return beats

        assert asyncio.run(beat()) > 10


HOW_IT_BROKE: dict[str, Callable[[HostileDirectory], None]] = {
    "closed": lambda directory: directory.hang_up("close"),
    "reset": lambda directory: directory.hang_up("reset"),
    "notice": lambda directory: directory.hang_up("notice"),
    "closed when asked": lambda directory: directory.tell("search", HangsUp("close"), times=1),
    "reset when asked": lambda directory: directory.tell("search", HangsUp("reset"), times=1),
    "notice when asked": lambda directory: directory.tell("search", HangsUp("notice"), times=1),
    "bind closed": lambda directory: directory.tell("bind", HangsUp("close"), times=1),
    "bind reset": lambda directory: directory.tell("bind", HangsUp("reset"), times=1),
    "half open": lambda directory: directory.tell("search", Silence(), times=1),
    "half open bind": lambda directory: directory.tell("bind", Silence(), times=1),
    "of another question": lambda directory: directory.tell("search", AnswersAnother(), times=1),
}


@pytest.mark.covers("L-3")
@pytest.mark.parametrize("how", HOW_IT_BROKE)
def test_a_kept_connection_that_broke_costs_nobody_anything(
    directory: HostileDirectory, how: str
) -> None:
    with world(config_of(host_of(directory)), patience=QUICK) as here:
        identity = here.login()
        HOW_IT_BROKE[how](directory)
        assert here.login() == identity
        HOW_IT_BROKE[how](directory)
        if "bind" not in how:
            assert here.refresh(identity) == identity
        assert here.events[events.HOST_DOWN] == 0


@pytest.mark.covers("L-3")
def test_a_fresh_connection_that_breaks_is_not_tried_for_ever(directory: HostileDirectory) -> None:
    with world(config_of(host_of(directory))) as here:
        here.login()
        directory.tell("search", HangsUp())
        directory.forget()
        with pytest.raises(ConnectorUnavailable):
            here.login()
    assert len(searches(directory.seen().requests)) == 2


@pytest.mark.covers("L-3")
def test_connections_that_were_idle_for_long_are_closed_by_us(directory: HostileDirectory) -> None:
    now = [0.0]
    with world(config_of(host_of(directory)), monotonic=lambda: now[0]) as here:
        here.login()
        now[0] = 1000.0
        directory.forget()
        here.login()
        assert len({each.connection for each in directory.seen().requests}) >= 2
        now[0] = 2000.0
        asyncio.run(here.connector.probe())
        assert sum(each.is_open for each in directory.seen().connections) == 1


def refuses(directory: HostileDirectory) -> None:
    directory.refuse()


def says(operation: str, behaviour: Behaviour) -> Callable[[HostileDirectory], None]:
    def tell(directory: HostileDirectory) -> None:
        directory.tell(operation, behaviour)  # type: ignore[arg-type]

    return tell


def people_are_referred(directory: HostileDirectory) -> None:
    # What a read-only replica does that has to write down the time of a login elsewhere.
    referred = Answers(result=10, referrals=["ldap://writable.example.org"])
    directory.tell("bind", referred, when=of_alice)


WAITS = {"silent", "slow"}
HOW_A_HOST_FAILS: dict[str, Callable[[HostileDirectory], None]] = {
    "dead": refuses,
    "silent": says("connect", Silence()),
    "slow": says("search", Silence()),
    "hangs up": says("connect", HangsUp()),
    "busy": says("search", Answers(result=51)),
    "unavailable": says("bind", Answers(result=52)),
    "read-only": people_are_referred,
}


@pytest.mark.covers("L-4")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(how, marks=pytest.mark.servers if how in WAITS else ())
        for how in HOW_A_HOST_FAILS
    ],
)
def test_the_next_host_answers_when_the_first_one_fails(
    directory: HostileDirectory, other: HostileDirectory, how: str
) -> None:
    HOW_A_HOST_FAILS[how](directory)
    config = config_of(host_of(directory), host_of(other))
    with world(config, patience=replace(QUICK, login=8.0)) as here:
        began = time.monotonic()
        assert here.login().user_id == "alice"
        assert time.monotonic() - began < 6
        directory.forget()
        # From now on it is left alone.
        assert here.login().user_id == "alice"
        assert directory.seen().requests == []
        assert here.events[events.HOST_DOWN] == 1


@pytest.mark.covers("L-4")
def test_the_last_host_that_is_well_has_all_the_time_there_is(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    other.refuse()
    patience = Patience(host=0.2, down=30.0)
    with world(config_of(host_of(other), host_of(directory)), patience=patience) as here:
        here.login()
        directory.tell("search", Dawdles(0.4))
        assert here.login().user_id == "alice"
        assert here.events[events.HOST_DOWN] == 1


@pytest.mark.covers("L-4")
def test_a_wrong_password_is_not_tried_at_another_host(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    with (
        world(config_of(host_of(directory), host_of(other))) as here,
        pytest.raises(BadCredentials),
    ):
        here.login(ALICE, "wrong")
    assert len(binds_of_people(directory.seen().requests)) == 1
    assert other.seen().requests == []


@pytest.mark.covers("L-4")
def test_the_first_host_is_asked_again_when_its_time_is_over(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    directory.refuse()
    patience = Patience(down=0.5)
    with world(config_of(host_of(directory), host_of(other)), patience=patience) as here:
        here.login()
        directory.listen()
        time.sleep(0.6)
        other.forget()
        here.login()
        assert len(searches(directory.seen().requests)) == 2
        assert other.seen().requests == []
        assert here.events[events.HOST_BACK] == 1


@pytest.mark.covers("L-4")
def test_all_goes_on_at_the_second_host_in_the_middle_of_a_login(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    directory.tell("search", HangsUp(), when=for_groups)
    with world(config_of(host_of(directory), host_of(other))) as here:
        assert here.login().groups == ("admins", "backend")


class Names:
    """A name server that a test decides for."""

    def __init__(self) -> None:
        self.addresses: list[Address] | OSError = []
        self.asked = 0

    def __call__(self, host: Host, within: float) -> list[Address]:
        self.asked += 1
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return self.addresses


def at(ip: str, port: int) -> Address:
    return (socket.AF_INET, ip, port)


@pytest.mark.covers("L-5")
def test_every_address_of_a_name_is_tried(directory: HostileDirectory) -> None:
    names = Names()
    names.addresses = [at("127.0.0.1", free_port()), at("127.0.0.1", directory.port)]
    with world(config_of(Host(name="ldap.example.org", port=1)), resolve=names) as here:
        assert here.login().user_id == "alice"


@pytest.mark.covers("L-5")
def test_a_changed_address_counts_for_the_next_connection(
    directory: HostileDirectory, other: HostileDirectory
) -> None:
    names = Names()
    names.addresses = [at("127.0.0.1", directory.port)]
    with world(config_of(Host(name="ldap.example.org", port=1)), resolve=names) as here:
        here.login()
        asked = names.asked
        here.login()
        # Who is connected needs no address.
        assert names.asked == asked
        names.addresses = [at("127.0.0.1", other.port)]
        directory.refuse()
        assert here.login().user_id == "alice"
    assert len(searches(other.seen().requests)) == 2


@pytest.mark.covers("L-5")
def test_a_name_that_is_not_there_is_told_as_that() -> None:
    names = Names()
    names.addresses = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with world(config_of(Host(name="ldap.example.org", port=1)), resolve=names) as here:
        with pytest.raises(ConnectorUnavailable, match=r"cannot be looked up .*check host"):
            here.login()
        names.addresses = []
        with pytest.raises(ConnectorUnavailable, match="has no address"):
            here.login()


@pytest.mark.servers
@pytest.mark.covers("L-5")
def test_a_name_server_that_hangs_leaves_time_for_the_next_host(
    directory: HostileDirectory,
) -> None:
    def hangs(host: Host, within: float) -> list[Address]:
        if host.name == "ldap.example.org":
            time.sleep(within)
            raise TimeoutError
        return [at("127.0.0.1", directory.port)]

    config = config_of(Host(name="ldap.example.org", port=1), Host(name="other", port=1))
    with world(config, resolve=hangs, patience=replace(QUICK, login=8.0)) as here:
        assert here.login().user_id == "alice"

"""The directory as the connector sees it: one thing that is asked, whichever host answers.

Searches run as the service account, passwords are proved on connections of their own. A connection
that turns out to be dead costs a silent retry on a fresh one, a host that is dead the next host.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connectors.ldap.config import Host, LdapConfig
from connectors.ldap.connection import Connection
from connectors.ldap.deadline import Deadline
from connectors.ldap.errors import HostFailed, NobodyAnswers, SearchRefused
from connectors.ldap.events import HOST_BACK, HOST_DOWN, REFERENCE_IGNORED, Events
from connectors.ldap.hosts import Hosts
from connectors.ldap.opening import Opener, name_of
from connectors.ldap.operations import Entry, Found, Result, Search
from connectors.ldap.pool import Pool
from connectors.ldap.ranges import whole
from connectors.ldap.service_account import ServiceAccount

A = TypeVar("A")

Operation = Callable[[Connection, Deadline], A]

SUCCESS, NO_SUCH_OBJECT, REFERRAL = 0, 32, 10
SIZE_LIMIT_EXCEEDED = 4

_OF_THE_HOST = frozenset({51, 52})
"""Busy and unavailable: another host may be neither."""

_MOST_PAGES = 100
_LARGEST_LIST = 4 * 1024 * 1024
"""Bytes of all pages: some ten thousand groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds."""

    connect: float = 2.0
    login: float = 8.0
    host: float = 2.0
    """An answer of a host while another one could be asked instead."""
    suspected: float = 2.0
    """An answer on a connection that nobody used for `trusted_idle`."""
    trusted_idle: float = 10.0
    down: float = 30.0
    examination: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One directory of one or more hosts; used from many threads at once.

    `searchers` are connections bound as the service account, `provers` those on which people prove
    their passwords: the former never see a person's bind, the latter never a search.
    """

    hosts: Hosts
    account: ServiceAccount
    searchers: Pool
    provers: Pool
    events: Events
    patience: Patience
    monotonic: Callable[[], float]

    def find(self, search: Search, deadline: Deadline) -> Found:
        """Return what a search finds, up to its size limit, each entry whole.

        A base that is not there, and an answer cut short by the size limit, are for the caller to
        judge. Raises SearchRefused for any other incomplete answer, ConnectorUnavailable.
        """

        def ask(connection: Connection, deadline: Deadline) -> Found:
            found = self._answered(connection.search(search, deadline), connection.host)
            entries = tuple(whole(entry, connection, deadline) for entry in found.entries)
            return Found(entries=entries, result=found.result)

        found = self._ask(self.searchers, ask, deadline)
        if found.result.code not in (SUCCESS, NO_SUCH_OBJECT, SIZE_LIMIT_EXCEEDED):
            raise SearchRefused(refusal(search, found.result))
        return found

    def find_all(self, search: Search, deadline: Deadline) -> list[Entry]:
        """Return all that a search finds, page by page; never a part of it.

        Raises SearchRefused, ConnectorUnavailable.
        """

        def ask(connection: Connection, deadline: Deadline) -> list[Entry]:
            entries: list[Entry] = []
            cookie, size = b"", 0
            for _ in range(_MOST_PAGES):
                found = self._answered(connection.search(search, deadline, cookie), connection.host)
                if found.result.code != SUCCESS:
                    raise SearchRefused(refusal(search, found.result))
                entries += found.entries
                cookie, size = found.result.cookie, size + found.size
                if not cookie:
                    return entries
                if size > _LARGEST_LIST:
                    break
            raise SearchRefused(
                f"search below {search.base_dn!r}: more is found than can be; narrow the filter"
            )

        return self._ask(self.searchers, ask, deadline)

    def prove(self, dn: str, password: bytes, deadline: Deadline) -> Result:
        """Return what the directory says of this person's password. Raises ConnectorUnavailable."""

        def ask(connection: Connection, deadline: Deadline) -> Result:
            result = connection.bind(dn, password, deadline)
            _refuse_of_the_host(result, connection.host, "bind")
            return result

        return self._ask(self.provers, ask, deadline)

    def probe(self, base_dn: str, deadline: Deadline) -> None:
        """Read an entry on a fresh connection. Raises ConnectorUnavailable."""
        search = base_read(base_dn)

        def ask(connection: Connection, deadline: Deadline) -> Found:
            return self._answered(connection.search(search, deadline), connection.host)

        def afresh(host: Host, deadline: Deadline) -> Found:
            return self._ask_afresh(self.searchers, host, ask, deadline)

        self.searchers.drop_old()
        self.provers.drop_old()
        check_base(search, self._first_that_answers(afresh, deadline))

    def close(self) -> None:
        """Close all connections."""
        self.searchers.close()
        self.provers.close()

    def _ask(self, pool: Pool, operation: Operation[A], deadline: Deadline) -> A:
        def ask_host(host: Host, deadline: Deadline) -> A:
            return self._ask_host(pool, host, operation, deadline)

        return self._first_that_answers(ask_host, deadline)

    def _first_that_answers(self, ask: Callable[[Host, Deadline], A], deadline: Deadline) -> A:
        """Ask one host after the other. Raises NobodyAnswers with what is wrong with each."""
        well, down = self.hosts.in_order()
        problems: list[str] = []
        for position, host in enumerate([*well, *down], 1):
            # The last good hope has all the time there is.
            is_last = position in (len(well), len(well) + len(down))
            attempt = deadline if is_last else deadline.within(self.patience.host)
            try:
                answer = ask(host, attempt)
            except HostFailed as failure:
                self._note_down(host, failure)
                problems.append(str(failure))
                if deadline.has_passed():
                    break
            else:
                if self.hosts.answered(host):
                    self.events.note(HOST_BACK, host=name_of(host))
                return answer
        raise NobodyAnswers("; ".join(problems))

    def _ask_host(self, pool: Pool, host: Host, operation: Operation[A], deadline: Deadline) -> A:
        """Ask on a connection that is open, or if there is none, or it is dead, on a fresh one."""
        kept = pool.take(host)
        if kept is not None:
            is_suspect = pool.idle_seconds(kept) > self.patience.trusted_idle
            limit = deadline.within(self.patience.suspected) if is_suspect else deadline
            try:
                return _on(kept, pool, host, operation, limit)
            except HostFailed:
                pool.drop(host)
                if deadline.has_passed():
                    raise
        return self._ask_afresh(pool, host, operation, deadline)

    def _ask_afresh(self, pool: Pool, host: Host, operation: Operation[A], deadline: Deadline) -> A:
        fresh = pool.open(host, deadline.within(self.patience.connect))
        return _on(fresh, pool, host, operation, deadline)

    def _answered(self, found: Found, host: str) -> Found:
        _refuse_of_the_host(found.result, host, "search")
        for _ in range(found.references):
            self.events.note(REFERENCE_IGNORED, host=host)
        return found

    def _note_down(self, host: Host, failure: HostFailed) -> None:
        if self.hosts.failed(host):
            self.events.note(
                HOST_DOWN, host=failure.host, step=failure.step, problem=failure.problem
            )


def directory_of(
    config: LdapConfig,
    *,
    opener: Opener,
    events: Events,
    patience: Patience,
    monotonic: Callable[[], float],
) -> Directory:
    """Return the directory of a configuration; nothing is connected before the first question."""
    account = ServiceAccount(config.bind_dn, config.bind_password, events, monotonic)

    def searcher(host: Host, deadline: Deadline) -> Connection:
        account.check()
        connection = opener.open(host, deadline)
        account.bind(connection, deadline)
        return connection

    return Directory(
        hosts=Hosts(config.hosts, monotonic=monotonic, down_seconds=patience.down),
        account=account,
        searchers=Pool(searcher, monotonic=monotonic),
        provers=Pool(opener.open, monotonic=monotonic),
        events=events,
        patience=patience,
        monotonic=monotonic,
    )


def base_read(base_dn: str) -> Search:
    """Return the search that only looks whether a base is there."""
    return Search(base_dn=base_dn, scope="base", most=1)


def check_base(search: Search, found: Found) -> None:
    """Raise SearchRefused when the base could not be read."""
    if found.result.code != SUCCESS or not found.entries:
        raise SearchRefused(refusal(search, found.result))


def refusal(search: Search, result: Result) -> str:
    """Return a sentence about an answer that is of no use, and what to mend."""
    remedy = _REMEDIES.get(result.code, "ask the administrators of the directory")
    return f"search below {search.base_dn!r}: {result}; {remedy}"


def _on(
    connection: Connection,
    pool: Pool,
    host: Host,
    operation: Operation[A],
    deadline: Deadline,
) -> A:
    """Use a connection, and keep it for others when all went well."""
    try:
        answer = operation(connection, deadline)
    except BaseException:
        connection.abandon()
        raise
    pool.put(host, connection)
    return answer


def _refuse_of_the_host(result: Result, host: str, step: str) -> None:
    if result.code in _OF_THE_HOST:
        raise HostFailed(host, step, str(result))


_NOT_THERE = "the base DN is not there, or the service account may not read it"

_REMEDIES = {
    SUCCESS: _NOT_THERE,
    3: "index the attributes of the filter",
    SIZE_LIMIT_EXCEEDED: "raise the size limit of the service account",
    REFERRAL: "another server has it, and referrals are not followed: name that server as host",
    11: "raise the limits of the service account, or index the attributes of the filter",
    NO_SUCH_OBJECT: _NOT_THERE,
    50: "let the service account search there",
}

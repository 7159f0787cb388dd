"""The live sets: what requests look into, changed in place while they are served.

A change is adopted between two awaits, so no request sees half of it; reading is a look-up in a
dict and nothing else.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import Any, TypeVar

from connectors.local import LocalUser, LocalUsers
from connectors.passwords import HashKind, dummy_hash_like, hash_kind
from idp.login.usernames import canonical
from idp.oauth.client import Client, served
from idp.oauth.served_clients import ServedClients
from idp.oauth.standing import UserStanding
from idp.objects.verdicts import Change

T = TypeVar("T")


class LiveClients(ServedClients):
    """The clients of the configuration file and those that were written as objects."""

    def __init__(self, static: Mapping[str, Client]) -> None:
        super().__init__()
        self._replace((), static.values())

    def adopt(self, changes: Sequence[Change[Client]]) -> None:
        """Serve what counts now and nothing that counted before."""
        self._replace(*served_changes(changes))

    def _replace(self, gone: Iterable[Client], came: Iterable[Client]) -> None:
        for client in gone:
            self.withdraw(client.id)
        for client in served(came).values():
            self.serve(client)


class LiveUsers:
    """The local users of the configuration file and those that were written as objects."""

    def __init__(self, static: Iterable[LocalUser], *, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._by_email: dict[str, LocalUser] = {}
        self._by_user_id: dict[str, LocalUser] = {}
        self._kinds: Counter[HashKind] = Counter()
        self._claims: Counter[str] = Counter()
        self._dummies: dict[HashKind | None, str] = {}
        for user in static:
            self._add(user)
        self._snapshot: LocalUsers | None = None

    def users(self) -> LocalUsers:
        """Return the users of now. After a change two dicts are copied, once."""
        if self._snapshot is None:
            self._snapshot = LocalUsers.indexed(
                by_email=self._by_email.copy(),
                by_user_id=self._by_user_id.copy(),
                canonical=canonical,
                dummy_hash=self._dummy_hash(),
                claim_names=frozenset(self._claims),
            )
        return self._snapshot

    def adopt(self, changes: Sequence[Change[LocalUser]]) -> None:
        """Let in whoever counts now and nobody who counted before."""
        gone, came = served_changes(changes)
        for user in gone:
            del self._by_email[canonical(user.email)]
            del self._by_user_id[user.user_id]
            self._kinds -= Counter([hash_kind(user.password_hash)])
            self._claims -= Counter(name for name, _ in user.claims)
        for user in came:
            self._add(user)
        if gone or came:
            self._snapshot = None

    def _add(self, user: LocalUser) -> None:
        self._by_email[canonical(user.email)] = self._by_user_id[user.user_id] = user
        self._kinds[hash_kind(user.password_hash)] += 1
        self._claims.update(name for name, _ in user.claims)

    def _dummy_hash(self) -> str:
        """Return a hash that costs what most cost; drawn once for each kind."""
        kind = max(self._kinds, key=lambda each: (self._kinds[each], repr(each)), default=None)
        if kind not in self._dummies:
            hashes = (user.password_hash for user in self._by_user_id.values())
            alike = (each for each in hashes if hash_kind(each) == kind)
            self._dummies[kind] = dummy_hash_like(islice(alike, 1), random=self._random)
        return self._dummies[kind]


class LiveStandings(Mapping[str, UserStanding]):
    """What is said of people, by `sub`; whoever is in good standing is not here.

    Several objects may speak of one person: the strictest word counts. `source` names the object.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[str, UserStanding]] = {}
        self._sources: dict[str, set[tuple[str, str]]] = {}
        self._standings: dict[str, UserStanding] = {}

    def __getitem__(self, sub: str) -> UserStanding:
        return self._standings[sub]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._standings))

    def __len__(self) -> int:
        return len(self._standings)

    def get(self, sub: str, default: Any = None) -> Any:
        """Return a standing, or the default; in one step, as every request asks."""
        return self._standings.get(sub, default)

    def say(self, source: tuple[str, str], sub: str, standing: UserStanding) -> None:
        """Take in what an object says, instead of what it said before."""
        self.unsay(source)
        if standing != UserStanding():
            self._said[source] = (sub, standing)
            self._sources.setdefault(sub, set()).add(source)
            self._join(sub)

    def unsay(self, source: tuple[str, str]) -> None:
        """Forget what an object said."""
        said = self._said.pop(source, None)
        if said is not None:
            self._sources[said[0]].discard(source)
            self._join(said[0])

    def _join(self, sub: str) -> None:
        standings = [self._said[source][1] for source in self._sources[sub]]
        if not standings:
            del self._sources[sub], self._standings[sub]
            return
        self._standings[sub] = reduce(UserStanding.joined, standings)


def served_changes(changes: Sequence[Change[T]]) -> tuple[list[T], list[T]]:
    """Return what counts no longer, and what counts now."""
    gone, came = [], []
    for change in changes:
        old = change.old.served if change.old is not None else None
        new = change.new.served if change.new is not None else None
        if old == new:
            continue
        if old is not None:
            gone.append(old)
        if new is not None:
            came.append(new)
    return gone, came

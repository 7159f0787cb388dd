"""All objects of one kind: judged, their rivalries settled, what counts told apart from the rest.

What comes out depends only on the objects that there are, never on the order in which they came:
of several that claim the same thing the oldest wins, by creation and then by uid, whether it is
otherwise right or not, so that nobody can take over what a broken object holds. An entry of the
configuration file wins over all.

A change costs what it touches: an object that is as it was is not judged again.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from idp.log import log_event
from idp.objects.verdicts import (
    STATES,
    Change,
    Claim,
    Entry,
    Judged,
    Rival,
    SecretNeed,
    SecretReading,
    Secrets,
    State,
)
from storage.objects import (
    Gone,
    Listed,
    Matters,
    ObjectKind,
    ObjectNews,
    Put,
    WrittenObject,
    everything,
)

T = TypeVar("T")
_log = logging.getLogger("idp.objects")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Generic[T]):
    """How objects of a kind are judged. `taken` tells what the configuration file holds.

    What does not `matter`, by its `spec`, is not even held.
    """

    kind: ObjectKind
    judge: Callable[[WrittenObject, Secrets], Judged[T]]
    claims: Callable[[WrittenObject], tuple[Claim, ...]] = lambda _: ()
    needs: Callable[[WrittenObject], tuple[SecretNeed, ...]] = lambda _: ()
    taken: Callable[[Claim], bool] = lambda _: False
    matters: Matters = everything


def with_one_secret(
    judge: Callable[[WrittenObject, SecretReading | None], Judged[T]],
) -> Callable[[WrittenObject, Secrets], Judged[T]]:
    """Return the judgement of objects that need no more than one Secret."""
    return lambda written, secrets: judge(written, next(iter(secrets), None))


def at_most_one(
    need: Callable[[WrittenObject], SecretNeed | None],
) -> Callable[[WrittenObject], tuple[SecretNeed, ...]]:
    """Return the needs of objects that need no more than one Secret."""

    def needs(written: WrittenObject) -> tuple[SecretNeed, ...]:
        found = need(written)
        return () if found is None else (found,)

    return needs


class Roster(Generic[T]):
    """The objects of one kind by name. `read_secret` tells what was last read of a Secret."""

    def __init__(
        self, rules: Rules[T], read_secret: Callable[[SecretNeed], SecretReading | None]
    ) -> None:
        self.kind = rules.kind
        self.matters = rules.matters
        self._rules = rules
        self._read_secret = read_secret
        self._entries: dict[str, Entry[T]] = {}
        self._claimants: defaultdict[Claim, set[str]] = defaultdict(set)
        self._owners: dict[Claim, str] = {}
        self._needing: defaultdict[SecretNeed, set[str]] = defaultdict(set)
        self._states: Counter[State] = Counter()

    def entry(self, name: str) -> Entry[T] | None:
        """Return what is known of an object."""
        return self._entries.get(name)

    def owner(self, claim: Claim) -> str:
        """Return the name of the object that has what it claims, "" if none has."""
        return self._owners.get(claim, "")

    def counts(self) -> Mapping[State, int]:
        """Return how many objects are in each state."""
        return {state: self._states[state] for state in STATES}

    def is_needed(self, need: SecretNeed) -> bool:
        """Return whether any object needs this of a Secret."""
        return need in self._needing

    def apply(self, news: ObjectNews) -> list[Change[T]]:
        """Take in news; return what is different now. Never raises for what an object holds."""
        match news:
            case Listed(objects):
                listed = {written.name: written for written in objects}
                gone = [name for name in self._entries if name not in listed]
                return self._update(listed.values(), gone)
            case Put(written):
                return self._update([written], [])
            case Gone(name, uid):
                known = self._entries.get(name)
                # Who deletes and creates again may be seen to do it in the other order.
                is_known = known is not None and known.written.uid == uid
                return self._update([], [name] if is_known else [])

    def secret_changed(self, need: SecretNeed) -> list[Change[T]]:
        """Judge again whoever needs this of a Secret; return what is different now."""
        before = {name: self._entries[name] for name in self._needing.get(need, ())}
        for name, entry in before.items():
            secrets = self._read_secrets(entry.needs)
            judged = self._judged(entry.written, secrets)
            self._entries[name] = replace(entry, secrets=secrets, judged=judged)
        return self._changes(before)

    def _update(self, came: Iterable[WrittenObject], gone: Iterable[str]) -> list[Change[T]]:
        before: dict[str, Entry[T] | None] = {}
        touched: set[Claim] = set()
        for name in gone:
            before[name] = self._entries[name]
            touched.update(self._leave(name))
        for written in came:
            old = self._entries.get(written.name)
            if old is not None and old.written == written:
                continue
            before[written.name] = old
            if old is not None and _says_the_same(old.written, written):
                self._entries[written.name] = replace(old, written=written)
                continue
            if old is not None:
                touched.update(self._leave(written.name))
            touched.update(self._enter(written))
        self._settle(touched, before)
        return self._changes(before)

    def _enter(self, written: WrittenObject) -> tuple[Claim, ...]:
        try:
            claims, needs = self._rules.claims(written), self._rules.needs(written)
        except Exception as error:
            claims, needs = (), ()
            self._report(written, error)
        secrets = self._read_secrets(needs)
        judged = self._judged(written, secrets)
        self._entries[written.name] = Entry(
            written=written, judged=judged, claims=claims, needs=needs, secrets=secrets
        )
        for claim in claims:
            self._claimants[claim].add(written.name)
        for need in needs:
            self._needing[need].add(written.name)
        return claims

    def _leave(self, name: str) -> tuple[Claim, ...]:
        entry = self._entries.pop(name)
        for claim in entry.claims:
            _discard(self._claimants, claim, name)
        for need in entry.needs:
            _discard(self._needing, need, name)
        return entry.claims

    def _read_secrets(self, needs: tuple[SecretNeed, ...]) -> Secrets:
        return tuple(self._read_secret(need) for need in needs)

    def _judged(self, written: WrittenObject, secrets: Secrets) -> Judged[T]:
        """Return the judgement; one object that we cannot even judge must not stop the others."""
        try:
            return self._rules.judge(written, secrets)
        except Exception as error:
            self._report(written, error)
            return Judged(value=None, problems=("The object is of a form that nothing can read.",))

    def _report(self, written: WrittenObject, error: Exception) -> None:
        # Without the text of the error, which may hold some of the object.
        log_event(
            _log,
            logging.ERROR,
            "object_not_judged",
            kind=self.kind,
            object=written.name,
            problem=type(error).__name__,
        )

    def _settle(self, touched: set[Claim], before: dict[str, Entry[T] | None]) -> None:
        """Find the owners of what was touched, and who loses or wins by it."""
        affected = {name for name in before if name in self._entries}
        for claim in touched:
            names = self._claimants.get(claim)
            if not names:
                self._owners.pop(claim, None)
                continue
            owner = "" if self._rules.taken(claim) else min(names, key=self._age)
            if self._owners.get(claim) != owner:
                self._owners[claim] = owner
                affected |= names
        for name in affected:
            entry = self._entries[name]
            rivals = tuple(
                Rival(claim, self._owners[claim])
                for claim in entry.claims
                if self._owners[claim] != name
            )
            if rivals != entry.rivals:
                before.setdefault(name, entry)
                self._entries[name] = replace(entry, rivals=rivals)

    def _age(self, name: str) -> tuple[datetime, str]:
        written = self._entries[name].written
        return written.created_at, written.uid

    def _changes(self, before: Mapping[str, Entry[T] | None]) -> list[Change[T]]:
        changes = [Change(name, old, self._entries.get(name)) for name, old in before.items()]
        for change in changes:
            if change.old is not None:
                self._states[change.old.state] -= 1
            if change.new is not None:
                self._states[change.new.state] += 1
        return changes


def _says_the_same(old: WrittenObject, new: WrittenObject) -> bool:
    """Return whether nothing changed that judging looks at; status is not."""
    return (old.uid, old.created_at, old.spec, old.annotations) == (
        new.uid,
        new.created_at,
        new.spec,
        new.annotations,
    )


K = TypeVar("K")


def _discard(index: dict[K, set[str]], key: K, name: str) -> None:
    """Take a name out of an index, and the key with the last name."""
    names = index[key]
    names.discard(name)
    if not names:
        del index[key]

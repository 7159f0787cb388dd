"""A login is three questions to the directory, a refresh is two.

Find the person by the name that was typed, let them prove the password on a connection of their
own, find their groups. At a refresh the person is found by their id.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connectors.base import BadCredentials, ConnectorUnavailable, Identity, IdentityGone
from connectors.ldap import accounts, groups, people, remembered
from connectors.ldap.accounts import Verdict
from connectors.ldap.config import DN, LdapConfig
from connectors.ldap.credentials import name_octets, password_octets
from connectors.ldap.deadline import Deadline
from connectors.ldap.directory import NO_SUCH_OBJECT, SIZE_LIMIT_EXCEEDED, Directory, refusal
from connectors.ldap.errors import SearchRefused, ValueUnreadable
from connectors.ldap.events import (
    ATTRIBUTE_MISSING,
    GROUPS_CUT_SHORT,
    LOGIN_REFUSED,
    PASSWORD_RUNS_OUT,
    REFRESH_REFUSED,
    SEVERAL_ENTRIES,
    Events,
)
from connectors.ldap.filters import ANYTHING, Equals, Written, matching, written
from connectors.ldap.operations import NO_ATTRIBUTES, Entry, Result, Search

PAGE_SIZE = 500

_ENOUGH = 2
"""One person is wanted, and two are known to be too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The questions, in their order. Blocks; takes as long as the deadlines allow."""

    config: LdapConfig
    directory: Directory
    events: Events
    now: Callable[[], datetime]
    user_filter: Written | None
    group_filter: Written | None
    attributes: tuple[str, ...]

    def login(self, username: str, password: str, deadline: Deadline) -> Identity:
        """Return who signs in. Raises BadCredentials, AccessRefused, ConnectorUnavailable."""
        name, secret = name_octets(username), password_octets(password)
        entry = self.person_named(name, deadline)
        result = self.directory.prove(entry.dn, secret, deadline)
        verdict = accounts.verdict_of(result)
        if verdict is Verdict.RIGHT:
            verdict = accounts.barred(entry, self.now()) or verdict
        if verdict is not Verdict.RIGHT:
            raise self._refused(verdict, entry, result)
        self._note_policy(entry, result)
        return self.identity(entry, deadline)

    def refresh(self, identity: Identity, deadline: Deadline) -> Identity:
        """Return the person as they are now. Raises IdentityGone, ConnectorUnavailable."""
        entry = self._person_remembered(identity, deadline)
        verdict = accounts.barred(entry, self.now())
        if verdict is None and accounts.locked(entry):
            verdict = Verdict.LOCKED
        if verdict is not None:
            self.events.note(REFRESH_REFUSED, dn=entry.dn, reason=str(verdict))
            raise IdentityGone(str(accounts.error_for(verdict)))
        try:
            now = self.identity(entry, deadline)
        except people.AttributeMissing as missing:
            raise ConnectorUnavailable(str(missing)) from missing
        # The directory holds both spellings to be one id; ours is the one that tokens carry.
        return replace(now, user_id=identity.user_id)

    def person_named(self, name: bytes, deadline: Deadline) -> Entry:
        """Return who has a name. Raises BadCredentials when nobody has, or several have."""
        search = self.config.user_search
        found = self._people([Equals(each, name) for each in search.username_attrs], deadline)
        if len(found) > 1:
            self.events.note(SEVERAL_ENTRIES, dn=found[0].dn, other_dn=found[1].dn)
            raise BadCredentials("several entries have this name")
        if not found:
            raise BadCredentials("no entry has this name")
        return found[0]

    def identity(self, entry: Entry, deadline: Deadline) -> Identity:
        """Return whom an entry stands for. Raises AttributeMissing, ConnectorUnavailable."""
        try:
            identity = people.identity_of(entry, self.config.user_search)
        except people.AttributeMissing as missing:
            self.events.note(
                ATTRIBUTE_MISSING,
                dn=entry.dn,
                attribute=", ".join(missing.attributes),
                remedy="give the entry this attribute, let the service account read it, "
                "or name another one in userSearch",
            )
            raise
        note = remembered.remember(entry, self.config.user_search.id_attr)
        return replace(
            identity,
            groups=self._groups(entry, deadline),
            connector_data=remembered.written(note),
        )

    def _person_remembered(self, identity: Identity, deadline: Deadline) -> Entry:
        id_attr = self.config.user_search.id_attr
        note = remembered.read(identity.connector_data) or remembered.Remembered(
            id_attr=id_attr, id_value=identity.user_id.encode()
        )
        if note.id_attr.lower() != id_attr.lower():
            raise IdentityGone("people are known by another attribute now (userSearch.idAttr)")
        found = self._people([Equals(id_attr, note.id_value)], deadline)
        if len(found) > 1:
            self.events.note(SEVERAL_ENTRIES, dn=found[0].dn, other_dn=found[1].dn)
            raise ConnectorUnavailable(f"several entries have the same {id_attr}")
        if not found:
            raise IdentityGone("no entry has this id any more")
        if not note.fits(found[0]):
            self.events.note(REFRESH_REFUSED, dn=found[0].dn, reason="another_entry")
            raise IdentityGone("another entry has this id now")
        return found[0]

    def _people(self, names: Sequence[Equals], deadline: Deadline) -> tuple[Entry, ...]:
        """Return the entries that have one of these values, two at most."""
        search = self._search_for_people(names)
        found = self.directory.find(search, deadline)
        by_dn = search.scope == "base"
        if found.result.code == NO_SUCH_OBJECT and not by_dn:
            raise SearchRefused(refusal(search, found.result))
        if found.result.code == SIZE_LIMIT_EXCEEDED and len(found.entries) < _ENOUGH:
            raise SearchRefused(refusal(search, found.result))
        if not all(entry.dn for entry in found.entries):
            raise ValueUnreadable("the directory sent a person without a DN")
        return found.entries

    def _search_for_people(self, names: Sequence[Equals]) -> Search:
        config = self.config.user_search
        if names[0].attribute == DN:
            return Search(
                base_dn=names[0].value.decode(),
                scope="base",
                filter=self.user_filter or ANYTHING,
                attributes=self.attributes,
                most=_ENOUGH,
            )
        return Search(
            base_dn=config.base_dn,
            scope=config.scope,
            filter=matching(names, also=self.user_filter),
            attributes=self.attributes,
            most=_ENOUGH,
        )

    def _groups(self, entry: Entry, deadline: Deadline) -> tuple[str, ...]:
        search = self.config.group_search
        if search is None:
            return ()

        def find(members: Iterable[Equals]) -> Iterable[Entry]:
            asked = Search(
                base_dn=search.base_dn,
                scope=search.scope,
                filter=matching(members, also=self.group_filter),
                attributes=groups.attributes_of(search) or (NO_ATTRIBUTES,),
                page_size=PAGE_SIZE,
            )
            return self.directory.find_all(asked, deadline)

        membership = groups.groups_of(entry, search, find)
        if membership.cut_short_by:
            self.events.note(GROUPS_CUT_SHORT, dn=entry.dn, by=membership.cut_short_by)
        return membership.names

    def _refused(self, verdict: Verdict, entry: Entry, result: Result) -> Exception:
        """Say to the log what no page says: a page must not tell accounts apart."""
        if verdict is not Verdict.WRONG:
            self.events.note(LOGIN_REFUSED, dn=entry.dn, reason=str(verdict), answer=str(result))
        error = accounts.error_for(verdict)
        if isinstance(error, BadCredentials):
            return BadCredentials(
                str(error), user_id=people.user_id_of(entry, self.config.user_search)
            )
        return error

    def _note_policy(self, entry: Entry, result: Result) -> None:
        if result.policy.grace is not None:
            self.events.note(PASSWORD_RUNS_OUT, dn=entry.dn, logins_left=result.policy.grace)


def sign_in_of(
    config: LdapConfig,
    *,
    directory: Directory,
    events: Events,
    now: Callable[[], datetime],
) -> SignIn:
    """Return the questions of a configuration. Raises FilterRefused for filters that are none."""
    group_search = config.group_search
    return SignIn(
        config=config,
        directory=directory,
        events=events,
        now=now,
        user_filter=_written(config.user_search.filter),
        group_filter=_written(group_search.filter if group_search else ""),
        attributes=_attributes(config),
    )


def _written(text: str) -> Written | None:
    return written(text) if text else None


def _attributes(config: LdapConfig) -> tuple[str, ...]:
    """Return all that has to be known of a person, each attribute once."""
    wanted = [*people.attributes_of(config.user_search)]
    if config.group_search is not None:
        wanted += [matcher.user_attr for matcher in config.group_search.matchers]
    wanted += [*remembered.ANCHORS, *accounts.STANDING_ATTRIBUTES]
    once = {attribute.lower(): attribute for attribute in reversed(wanted) if attribute != DN}
    return tuple(reversed(once.values()))

"""Looking at a directory step by step, for operators: each step with a sentence, none skipped."""

from dataclasses import dataclass
from typing import Literal

from connectors.base import ConnectorError, ConnectorUnavailable, Identity
from connectors.ldap import accounts
from connectors.ldap.config import Host
from connectors.ldap.connection import Connection
from connectors.ldap.credentials import name_octets
from connectors.ldap.deadline import Deadline
from connectors.ldap.directory import Directory, base_read, check_base
from connectors.ldap.filters import Equals, matching, text_of
from connectors.ldap.opening import Opener, name_of
from connectors.ldap.operations import Entry
from connectors.ldap.sign_in import SignIn

Outcome = Literal["ok", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of what a login would do, and how it went; `text` is for people."""

    name: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was tried, in order, and whom a login would give if the password were right."""

    steps: tuple[Step, ...]
    identity: Identity | None = None

    @property
    def is_well(self) -> bool:
        """Tell whether every step went well."""
        return all(step.outcome == "ok" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Tries one directory, from the names of its hosts to the groups of one person."""

    opener: Opener
    directory: Directory
    sign_in: SignIn

    def examine(self, username: str, deadline: Deadline) -> Report:
        """Try every host, and one of them with a person; an empty name leaves people out."""
        steps: list[Step] = []
        for host in self.sign_in.config.hosts:
            steps += self._host(host, deadline)
        if not username or not any(step.name.startswith("search") for step in steps):
            return Report(steps=tuple(steps))
        identity = self._person(username, deadline, steps)
        return Report(steps=tuple(steps), identity=identity)

    def _host(self, host: Host, deadline: Deadline) -> list[Step]:
        steps: list[Step] = []

        def told(name: str, text: str) -> None:
            steps.append(Step(name=f"{name} {name_of(host)}", outcome="ok", text=text))

        connection: Connection | None = None
        try:
            limit = deadline.within(self.directory.patience.connect)
            connection = self.opener.open(host, limit, told)
            self.directory.account.bind(connection, limit)
            told("service bind", self._who())
            search = base_read(self.sign_in.config.user_search.base_dn)
            check_base(search, connection.search(search, deadline))
            told("search", f"{search.base_dn!r} can be read")
        except ConnectorUnavailable as failure:
            steps.append(Step(name=name_of(host), outcome="failed", text=str(failure)))
        finally:
            if connection is not None:
                connection.close()
        return steps

    def _person(self, username: str, deadline: Deadline, steps: list[Step]) -> Identity | None:
        name = "find the person"
        try:
            entry = self.sign_in.person_named(name_octets(username), deadline)
            steps.append(Step(name=name, outcome="ok", text=f"{username!r} is {entry.dn!r}"))
            name = "account"
            steps.append(self._account(entry))
            name = "attributes and groups"
            identity = self.sign_in.identity(entry, deadline)
        except ConnectorError as failure:
            searched = f"; searched for {self._filter(username)}" if name.startswith("find") else ""
            steps.append(Step(name=name, outcome="failed", text=f"{failure}{searched}"))
            return None
        groups = ", ".join(identity.groups) or "none"
        text = f"id {identity.user_id!r}, email {identity.email!r}, groups: {groups}"
        steps.append(Step(name=name, outcome="ok", text=text))
        return identity

    def _account(self, entry: Entry) -> Step:
        verdict = accounts.barred(entry, self.sign_in.now())
        if verdict is not None:
            return Step(name="account", outcome="failed", text=str(accounts.error_for(verdict)))
        if accounts.locked(entry):
            return Step(name="account", outcome="failed", text="the directory has locked it")
        return Step(name="account", outcome="ok", text="nothing says that it is out")

    def _filter(self, username: str) -> str:
        search = self.sign_in.config.user_search
        name = username.encode("utf-8", "replace")
        names = [Equals(attribute, name) for attribute in search.username_attrs]
        asked = matching(names, also=self.sign_in.user_filter)
        return f"{text_of(asked)} below {search.base_dn!r}"

    def _who(self) -> str:
        dn = self.sign_in.config.bind_dn
        return f"bound as {dn!r}" if dn else "not bound: searches are anonymous (no bindDN)"

"""The connector for LDAP directories, as the provider sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from connectors.base import ConnectorUnavailable, Identity
from connectors.ldap.config import LdapConfig
from connectors.ldap.deadline import Deadline
from connectors.ldap.directory import Directory, Patience, directory_of
from connectors.ldap.errors import Busy
from connectors.ldap.events import TOO_MANY_LOGINS, UNAVAILABLE, Events
from connectors.ldap.examine import Examiner, Report, Step
from connectors.ldap.opening import Opener, Resolve, SystemResolver
from connectors.ldap.sign_in import SignIn, sign_in_of
from connectors.ldap.tls import TlsContexts
from connectors.ldap.workers import Workers

_LOOKING_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapConnector:
    """Signs in the people of one directory; made by `open_ldap`, ended by `close`.

    `lookers` are threads for operators, so that they get an answer when all others are taken.
    """

    sign_in: SignIn
    directory: Directory
    examiner: Examiner
    workers: Workers
    lookers: Workers
    resolver: SystemResolver
    events: Events

    @property
    def username_prompt(self) -> str:
        """Return the label of the name field."""
        return self.sign_in.config.username_prompt

    @property
    def claim_names(self) -> frozenset[str]:
        """Return the names of the further claims that attributes are mapped to."""
        return frozenset(name for name, _ in self.sign_in.config.user_search.claims)

    async def login(self, username: str, password: str) -> Identity:
        """Return who signs in, within eight seconds.

        Raises BadCredentials for a name that nobody or more than one has, and a wrong password;
        AccessRefused and AccountLocked where the directory says so to who knows the password, and
        when the entry lacks an attribute; ConnectorUnavailable when the directory is no help, at
        once when 64 others are signing in.
        """
        return await self._work(lambda deadline: self.sign_in.login(username, password, deadline))

    async def refresh(self, identity: Identity) -> Identity:
        """Return the person as they are now, found by their id wherever they moved.

        Raises IdentityGone for who was deleted, replaced, disabled or locked, or does not fit the
        filter any more; ConnectorUnavailable.
        """
        return await self._work(lambda deadline: self.sign_in.refresh(identity, deadline))

    async def probe(self) -> None:
        """Return when the directory can be asked: a fresh connection, a bind, a read.

        Raises ConnectorUnavailable with a sentence for an operator about each host.
        """
        base_dn = self.sign_in.config.user_search.base_dn
        deadline = self._deadline()
        await self.lookers.run(
            lambda: self.directory.probe(base_dn, deadline), within=self.directory.patience.login
        )

    async def examine(self, username: str = "") -> Report:
        """Try all that a login would, but for the password, and tell of each step.

        What goes wrong is a step of the report, not an exception.
        """
        within = self.directory.patience.examination
        deadline = Deadline.after(within, monotonic=self.directory.monotonic)
        try:
            return await self.lookers.run(
                lambda: self.examiner.examine(username, deadline), within=within
            )
        except ConnectorUnavailable as failure:
            step = Step(name="examination", outcome="failed", text=str(failure))
            return Report(steps=(step,))

    def close(self) -> None:
        """Take no more logins, and let go of threads and connections."""
        self.workers.close()
        self.lookers.close()
        self.resolver.close()
        self.directory.close()

    async def _work(self, work: Callable[[Deadline], Identity]) -> Identity:
        deadline = self._deadline()
        try:
            return await self.workers.run(
                lambda: work(deadline), within=self.directory.patience.login
            )
        except Busy:
            self.events.note_rarely(TOO_MANY_LOGINS)
            raise
        except ConnectorUnavailable as failure:
            self.events.note_rarely(UNAVAILABLE, problem=str(failure))
            raise

    def _deadline(self) -> Deadline:
        return Deadline.after(self.directory.patience.login, monotonic=self.directory.monotonic)


def open_ldap(
    config: LdapConfig,
    *,
    name: str,
    now: Callable[[], datetime],
    count: Callable[[str], None] = lambda _: None,
    resolve: Resolve | None = None,
    patience: Patience | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> LdapConnector:
    """Return the connector of one directory; nothing is connected before the first question.

    `name` is the connector's in the log, `count` gets the name of each event of `events.EVENTS`.
    Raises FilterRefused for filters that are none.
    """
    events = Events(name, count=count, monotonic=monotonic)
    resolver = SystemResolver()
    opener = Opener(
        security=config.security, contexts=TlsContexts(config.trust), resolve=resolve or resolver
    )
    directory = directory_of(
        config,
        opener=opener,
        events=events,
        patience=patience or Patience(),
        monotonic=monotonic,
    )
    sign_in = sign_in_of(config, directory=directory, events=events, now=now)
    return LdapConnector(
        sign_in=sign_in,
        directory=directory,
        examiner=Examiner(opener, directory, sign_in),
        workers=Workers(),
        lookers=Workers(_LOOKING_AT_ONCE),
        resolver=resolver,
        events=events,
    )

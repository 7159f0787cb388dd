"""The grants over a real collection in memory, with a scripted connector and a clock by hand."""

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Identity
from idp.grants.authorization_code import AuthorizationCodeGrant, UnconfirmedSpends
from idp.grants.base import LoginRules
from idp.grants.client_credentials import ClientCredentialsGrant
from idp.grants.introspection import Introspection
from idp.grants.lookup import GrantLookup
from idp.grants.recent import RecentGrants
from idp.grants.refresh_token import RefreshTokenGrant
from idp.grants.revocation import Revocation
from idp.keys.handles import Handles
from idp.keys.seal import SealingKey, SealingKeys
from idp.keys.signer import Signer
from idp.keys.verify import Verifier
from idp.oauth.client import Client, token_rules
from idp.oauth.errors import TooManyAttempts
from idp.oauth.params import Parameters
from idp.oauth.standing import NO_STANDINGS, Standings
from idp.tokens.access import IssuedTokens, LiveAccessTokens
from idp.tokens.issue import TokenIssuer, TokenSet
from idp.tokens.refresh import RefreshPolicy
from storage.base import Document
from storage.collection import Collection
from storage.kinds import GRANTS
from storage.memory import MemoryBackend
from storage.records import Grant, KeyRing, RefreshState
from tests.kit.clock import HandClock
from tests.kit.connectors import ScriptedPasswordConnector
from tests.kit.storage import Faults, FlakyBackend

ISSUER = "https://idp.example.com"
CALLBACK = "https://app.example.com/callback"
APP = Client(id="app", name="The App", secret_hashes=(bytes(32),), redirect_uris=(CALLBACK,))
OTHER = Client(id="other", name="Another App", secret_hashes=(bytes(32),))


@dataclass(slots=True)
class Heard:
    """What the audit log was told."""

    events: list[str] = field(default_factory=list)

    def __call__(self, event: str, /, **fields: str | int) -> None:
        self.events.append(event)


@dataclass(slots=True)
class Budget:
    """Look-ups that are left; one that succeeds is given back."""

    left: int = 100

    def __call__(self) -> "Budget":
        """Pay for one. Raises TooManyAttempts."""
        if self.left <= 0:
            raise TooManyAttempts("none left", timedelta(seconds=1))
        self.left -= 1
        return self

    def succeeded(self) -> None:
        """Give it back."""
        self.left += 1

    def failed(self) -> None:
        """Keep it."""

    def unknown(self) -> None:
        """Give it back: nobody could say."""
        self.left += 1


@dataclass(slots=True, kw_only=True)
class World:
    """One provider's grants and everything around them."""

    signer: Signer
    ring: KeyRing
    clock: HandClock = field(default_factory=HandClock)
    inner: MemoryBackend = field(default_factory=MemoryBackend)
    faults: Faults = field(default_factory=Faults)
    audit: Heard = field(default_factory=Heard)
    budget: Budget = field(default_factory=Budget)
    connector: ScriptedPasswordConnector = field(default_factory=ScriptedPasswordConnector)
    connectors: Callable[[str], object | None] = field(init=False)
    sealing_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    clients: dict[str, Client] = field(default_factory=lambda: {"app": APP, "other": OTHER})
    ended_sessions: set[str] = field(default_factory=set)
    recent: RecentGrants = field(default_factory=RecentGrants)
    ended: set[str] = field(default_factory=set)
    unconfirmed: UnconfirmedSpends = field(default_factory=UnconfirmedSpends)
    policy: RefreshPolicy = field(
        default_factory=lambda: RefreshPolicy(
            grace=timedelta(seconds=60),
            idle=timedelta(days=30),
            absolute=timedelta(days=180),
            keep_for=timedelta(minutes=65),
        )
    )

    def __post_init__(self) -> None:
        self.connector.people["alice"] = ("secret", ALICE)
        self.connectors = {"local": self.connector}.get

    @property
    def sealing(self) -> SealingKeys:
        return SealingKeys([SealingKey(self.sealing_secret)], random=secrets.token_bytes)

    @property
    def grants(self) -> Collection[Grant]:
        backend = FlakyBackend(self.inner, self.faults)
        return Collection(backend=backend, kind=GRANTS, sealer=self.sealing, issuer=ISSUER)

    @property
    def lookup(self) -> GrantLookup:
        return GrantLookup(
            grants=self.grants,
            handles=Handles(self.sealing),
            budget=self.budget,
            recent=self.recent,
        )

    @property
    def issuer(self) -> TokenIssuer:
        return TokenIssuer(
            issuer=ISSUER,
            lifetime=timedelta(hours=1),
            signer=self.signer,
            clock=self.clock,
            new_id=lambda: secrets.token_hex(16),
            rules=token_rules(self.clients),
        )

    @property
    def logins(self) -> LoginRules:
        return LoginRules(
            clients=self.clients,
            standings=NO_STANDINGS,
            ended_sessions=self.ended_sessions,
            audit=self.audit,
        )

    def code_grant(self) -> AuthorizationCodeGrant:
        return AuthorizationCodeGrant(
            lookup=self.lookup,
            issuer=self.issuer,
            clock=self.clock,
            audit=self.audit,
            logins=self.logins,
            unconfirmed=self.unconfirmed,
            keep_ended_for=self.policy.keep_for,
            note_ended=self.ended.add,
        )

    def refresh_grant(self) -> RefreshTokenGrant:
        return RefreshTokenGrant(
            lookup=self.lookup,
            issuer=self.issuer,
            connectors=self.connectors,
            policy=self.policy,
            clock=self.clock,
            audit=self.audit,
            logins=self.logins,
            note_ended=self.ended.add,
        )

    def client_credentials(self) -> ClientCredentialsGrant:
        return ClientCredentialsGrant(clients=self.clients, issuer=self.issuer, audit=self.audit)

    @property
    def issued(self) -> IssuedTokens:
        return IssuedTokens(verifier=Verifier(self.ring), issuer=ISSUER, clock=self.clock)

    def revocation(self) -> Revocation:
        return Revocation(
            lookup=self.lookup,
            access_tokens=self.issued,
            ended=self.ended,
            policy=self.policy,
            clock=self.clock,
            audit=self.audit,
        )

    def introspection(self, standings: Standings = NO_STANDINGS) -> Introspection:
        return Introspection(
            issuer=ISSUER,
            access_tokens=LiveAccessTokens(
                issued=self.issued,
                ended=self.ended,
                ended_sessions=self.ended_sessions,
                clients=self.clients,
                standings=standings,
            ),
            lookup=self.lookup,
            policy=self.policy,
            logins=replace(self.logins, standings=standings),
            clock=self.clock,
        )

    async def redeem(self, code: str, *, client: Client = APP, **more: str) -> TokenSet:
        form = parameters(code=code, redirect_uri=CALLBACK, **more)
        return await self.code_grant().redeem(form, client)

    async def refresh(self, token: str | None, *, client: Client = APP, **more: str) -> TokenSet:
        form = parameters(refresh_token=token or "", **more)
        return await self.refresh_grant().redeem(form, client)

    async def code(self, name: str = "grant-1") -> str:
        """Store a grant whose code was not spent yet, and return the code."""
        grant = new_grant(name, self.clock())
        await self.grants.create(grant)
        self.faults.calls.clear()
        return Handles(self.sealing).code(name, grant.seed)

    async def refresh_token(self, name: str = "grant-1") -> str:
        """Return the first refresh token of a new grant."""
        tokens = await self.redeem(await self.code(name))
        self.faults.calls.clear()
        self.audit.events.clear()
        assert tokens.refresh_token is not None
        return tokens.refresh_token

    async def stored(self, name: str = "grant-1") -> Grant:
        """Return the record as it is, past all faults."""
        collection = Collection(backend=self.inner, kind=GRANTS, sealer=self.sealing, issuer=ISSUER)
        return (await collection.get(name)).record

    async def change(self, name: str = "grant-1", **changes: Any) -> None:
        """Write fields of a record anew."""
        stored = await self.grants.get(name)
        await self.grants.update(stored, lambda grant: replace(grant, **changes))

    async def document(self, name: str = "grant-1") -> Document:
        """Return the document as it is, for a backup or a comparison."""
        return await self.inner.read(GRANTS.name, name)

    async def bring_back(self, backup: Document) -> None:
        """Put an older document over the one that is there."""
        current = await self.document(backup.name)
        await self.inner.replace(GRANTS.name, replace(backup, version=current.version))


ALICE = Identity(
    user_id="user-1",
    username="Alice Liddell",
    preferred_username="alice",
    email="alice@example.com",
    email_verified=True,
    groups=("developers",),
)


def claims_in(token: str | None) -> dict[str, Any]:
    """Return the claims of a token, unverified."""
    text = (token or "").split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def parameters(**values: str) -> Parameters:
    return Parameters(values=values, repeated=frozenset())


def new_grant(name: str, now: datetime) -> Grant:
    return Grant(
        name=name,
        client_id="app",
        connector_id="local",
        user_id="user-1",
        username="Alice Liddell",
        preferred_username="alice",
        email="alice@example.com",
        email_verified=True,
        groups=("developers",),
        connector_data="",
        scopes=("openid", "groups", "offline_access"),
        nonce="the nonce",
        redirect_uri=CALLBACK,
        code_challenge="",
        seed=secrets.token_bytes(32),
        created_at=now,
        authenticated_at=now,
        code_expires_at=now + timedelta(seconds=60),
        expires_at=now + timedelta(days=31),
        refresh=RefreshState(generation=1, last_used_at=now),
    )

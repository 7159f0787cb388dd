"""The end of a login: the first and only write, and what the client is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors.base import AccountLocked, Identity, Refreshable
from idp.clock import Clock
from idp.keys.handles import Handles
from idp.log import AuditLog
from idp.login.session_keeper import SessionKeeper
from idp.login.sessions import Reference
from idp.login.state import ApprovalState, LoginState
from idp.oauth.authorize import Refused, Target, check_target
from idp.oauth.client import Client, Clients
from idp.oauth.errors import LoginRequired, OAuthError, UnmetAuthenticationRequirements
from idp.oauth.groups import Audience, audience_of
from idp.oauth.policies import REFRESH_TOKEN, check_login, may_use
from idp.oauth.response_types import CODE, ID_TOKEN, carries_tokens, gives_access_token, has
from idp.oauth.scopes import OFFLINE_ACCESS
from idp.oauth.standing import Standings, login_counts
from idp.tokens.authorization import (
    Authorization,
    asked_of,
    authorization_of,
    needed_of,
    person_of,
)
from idp.tokens.code import first_refresh_state
from idp.tokens.front_channel import front_channel_answer
from idp.tokens.issue import TokenIssuer
from idp.tokens.refresh import RefreshPolicy, kept_until
from idp.tokens.size import check_tokens
from storage.base import AlreadyExists
from storage.collection import Collection, Stored
from storage.records import Grant


class AlreadyUsed(Exception):
    """The login was finished before, and its code was used or has run out."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A login that is done: where to go, and what to say there.

    `reference` is what the browser is to hold of its session from now on.
    """

    target: Target
    answer: Mapping[str, str]
    reference: Reference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFinisher:
    """Turns a signed-in person into a stored grant and a code."""

    grants: Collection[Grant]
    handles: Handles
    issuer: TokenIssuer
    clock: Clock
    random: Callable[[int], bytes]
    code_lifetime: timedelta
    refresh_policy: RefreshPolicy
    refresh_served: bool
    connectors: Callable[[str], object | None]
    audit: AuditLog
    on_created: Callable[[Stored[Grant]], None]
    standings: Standings
    clients: Clients
    sessions: SessionKeeper | None = None

    async def finish(
        self,
        approval: ApprovalState,
        reference: Reference | None = None,
        *,
        session: Grant | None = None,
        device: str = "",
    ) -> Finished:
        """Store the grant and return the answer with what it gives.

        `reference` is what the browser holds of a session, `session` its record where that was
        read just now, `device` what the person sits at, in words. Raises AccountLocked, Refused
        when the person is not the one that the request names or the client may no longer have what
        it asked for, Untrusted when it is gone, TokenTooLarge before anything is written,
        AlreadyUsed when the same form was finished and used before, SessionOver,
        StorageUnavailable.
        """
        grant = replace(self.check(approval), device=device)
        audience = self._audience(approval.login)
        grant, reference = await self._placed(grant, approval, reference, session)
        try:
            created = await self.grants.create(grant)
        except AlreadyExists:
            known = await self._finished_before(grant)
            if self.sessions is not None and known.session != grant.session:
                reference = await self.sessions.reference(known, remembered=approval.remembered)
            grant = known
        else:
            self.on_created(created)
            self._tell(approval, grant)
        answer = self._answer(approval, audience, grant)
        return Finished(approval.login.request.target, answer, reference)

    def check(self, approval: ApprovalState) -> Grant:
        """Return the grant that would be stored. Raises as `finish`, and writes nothing."""
        state, identity = approval.login, approval.identity
        client = self._client(state)
        self._check_standing(state, identity, approval.authenticated_at)
        self._check_subject(state, identity)
        self._check_acr(approval)
        grant = self._new_grant(approval, client)
        self._check_size(self._authorization(state, self._audience(state), grant))
        return grant

    async def _placed(
        self,
        grant: Grant,
        approval: ApprovalState,
        reference: Reference | None,
        session: Grant | None,
    ) -> tuple[Grant, Reference | None]:
        """Return the grant within a session, and the reference to that."""
        if self.sessions is None:
            return grant, None
        if approval.session:
            placed = await self.sessions.join(
                grant, reference, session=approval.session, known=session
            )
        else:
            placed = await self.sessions.begin(grant, reference, remembered=approval.remembered)
        return placed.grant, placed.reference

    def _tell(self, approval: ApprovalState, grant: Grant) -> None:
        self.audit(
            "login_succeeded",
            connector=grant.connector_id,
            user=grant.user_id,
            client=grant.client_id,
            grant=grant.name,
            by="session" if approval.session else "sign_in",
        )

    def _answer(
        self, approval: ApprovalState, audience: Audience, grant: Grant
    ) -> Mapping[str, str]:
        response_type = approval.login.request.response_type
        answer = front_channel_answer(
            self.issuer,
            self._authorization(approval.login, audience, grant),
            response_type=response_type,
            code=self.handles.code(grant.name, grant.seed),
        )
        if carries_tokens(response_type):
            self.audit("tokens_issued", grant=grant.name, client=grant.client_id, by="authorize")
        return answer

    def _client(self, state: LoginState) -> Client:
        """Return the client, which may still have what it asked for some minutes ago."""
        target = state.request.target
        check_target(target, self.clients)
        client = self.clients[target.client_id]
        try:
            check_login(
                client,
                response_type=state.request.response_type,
                connector_id=state.connector_id,
                scopes=state.request.scopes,
                clients=self.clients,
            )
            if has(state.request.response_type, ID_TOKEN):
                self.issuer.check_signs(client)
            if carries_tokens(state.request.response_type):
                self.issuer.check_signs(client)
        except OAuthError as error:
            raise Refused(target, error) from None
        return client

    def _audience(self, state: LoginState) -> Audience:
        """Return for whom the tokens are; the client was checked."""
        client = self.clients[state.request.target.client_id]
        return audience_of(client, state.request.scopes, self.clients)

    def _check_standing(
        self, state: LoginState, identity: Identity, authenticated_at: datetime
    ) -> None:
        """Check what an administrator said of the person, whose password was right."""
        connector_id, user_id = state.connector_id, identity.user_id
        if not login_counts(
            self.standings,
            user_id=user_id,
            connector_id=connector_id,
            authenticated_at=authenticated_at,
        ):
            self.audit("login_of_locked_user", connector=connector_id, user=user_id)
            raise AccountLocked("an administrator has locked the person")

    def _check_subject(self, state: LoginState, identity: Identity) -> None:
        """Check that the right person signed in (OIDC Core sections 3.1.2.2 and 5.5.1)."""
        if not state.request.admits(person_of(identity, state.connector_id).subject):
            raise Refused(
                state.request.target,
                LoginRequired("Somebody else signed in than id_token_hint or claims names."),
            )

    def _check_acr(self, approval: ApprovalState) -> None:
        """Check that the person signed in well enough (OIDC Core section 5.5.1.1)."""
        request = approval.login.request
        if not request.claims.is_met_by(approval.method.acr):
            raise Refused(
                request.target,
                UnmetAuthenticationRequirements("The person signed in by other means than asked."),
            )

    def _authorization(self, state: LoginState, audience: Audience, grant: Grant) -> Authorization:
        """Return what the grant gives at once.

        Where no access token leads to userinfo, the ID token tells what the scopes grant in any
        case (OIDC Core section 5.4).
        """
        authorization = authorization_of(grant, grant.scopes, audience)
        if gives_access_token(state.request.response_type):
            return authorization
        return replace(authorization, id_token_claims="all")  # noqa: S106 - no token

    def _check_size(self, authorization: Authorization) -> None:
        size = check_tokens(self.issuer, authorization)
        if size.deserves_warning:
            self.audit("id_token_large", client=authorization.client_id, bytes=size.size)

    def _new_grant(self, approval: ApprovalState, client: Client) -> Grant:
        now = self.clock()
        state, identity = approval.login, approval.identity
        request = state.request
        offline = self._may_refresh(state, client)
        scopes = request.scopes
        if not offline:
            scopes = tuple(scope for scope in scopes if scope != OFFLINE_ACCESS)
        asked = asked_of(request.claims, identity, scopes, client)
        identity = needed_of(identity, scopes, asked, client)
        # Without a code to redeem there is none that could be: it has run out when it is made.
        code_lives = has(request.response_type, CODE)
        code_expires_at = now + self.code_lifetime if code_lives else now
        policy = self.refresh_policy.of(client.tokens)
        return Grant(
            name=state.grant_name,
            client_id=request.target.client_id,
            connector_id=state.connector_id,
            user_id=identity.user_id,
            username=identity.username,
            preferred_username=identity.preferred_username,
            email=identity.email,
            email_verified=identity.email_verified,
            groups=identity.groups,
            connector_data=identity.connector_data,
            scopes=scopes,
            nonce=request.nonce,
            redirect_uri=request.target.redirect_uri,
            code_challenge=request.code_challenge,
            seed=self.random(32),
            created_at=now,
            authenticated_at=approval.authenticated_at,
            code_expires_at=code_expires_at,
            expires_at=(
                kept_until(now, now, policy) if offline else code_expires_at + policy.keep_for
            ),
            refresh=first_refresh_state(now) if offline else None,
            acr=approval.method.acr,
            amr=approval.method.amr,
            claims=identity.claims,
            asked_for_id_token=asked.id_token,
            asked_for_userinfo=asked.userinfo,
        )

    def _may_refresh(self, state: LoginState, client: Client) -> bool:
        return (
            self.refresh_served
            and may_use(client, REFRESH_TOKEN)
            and OFFLINE_ACCESS in state.request.scopes
            # Whoever has no code has no use for it (OIDC Core section 11).
            and has(state.request.response_type, CODE)
            and isinstance(self.connectors(state.connector_id), Refreshable)
        )

    async def _finished_before(self, grant: Grant) -> Grant:
        """Return the grant that the same form made a moment ago, for a second click.

        The browser shows the answer to the last click only, so it must get one as well, and its
        code is the same. Raises AlreadyUsed where that cannot help any more.
        """
        known = (await self.grants.get(grant.name)).record
        same_person = (known.user_id, known.connector_id) == (grant.user_id, grant.connector_id)
        usable = known.code_spent_at is None and known.ended_at is None
        if not same_person or not usable or self.clock() >= known.created_at + self.code_lifetime:
            raise AlreadyUsed
        return known

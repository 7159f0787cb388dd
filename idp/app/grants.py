"""Puts together what clients ask with what they were granted: tokens, revocation, introspection."""

from idp.app.core import Core
from idp.app.values import refresh_policy
from idp.grants.authorization_code import AuthorizationCodeGrant
from idp.grants.base import GrantHandler, LoginRules
from idp.grants.client_assertions import ClientAssertions
from idp.grants.client_credentials import ClientCredentialsGrant
from idp.grants.ended import EndedGrants
from idp.grants.introspection import Introspection
from idp.grants.lookup import GrantLookup, LookupAttempt, LookupBudget
from idp.grants.refresh_token import RefreshTokenGrant
from idp.grants.revocation import Revocation
from idp.keys.client_signatures import ClientSignatures
from idp.login.throttle import HANDLES, Throttle, Throttled
from idp.oauth.errors import TooManyAttempts
from idp.tokens.access import IssuedTokens, LiveAccessTokens
from idp.tokens.issue import TokenIssuer


def client_assertions(core: Core, signatures: ClientSignatures) -> ClientAssertions:
    """Return what checks the JWTs by which clients prove who they are."""
    issuer = core.settings.issuer
    return ClientAssertions(
        clients=core.clients,
        signatures=signatures,
        used=core.used_assertions,
        audiences=(issuer, f"{issuer}/token"),
        clock=core.outside.clock,
        audit=core.audit,
    )


def lookup_budget(core: Core) -> LookupBudget:
    """Return what pays for looking up what nothing authenticates: one budget for all endpoints."""
    unknown_keys = Throttle(HANDLES, clock=core.outside.clock, share=core.share)

    def budget() -> LookupAttempt:
        try:
            return unknown_keys.reserve(source="handles")
        except Throttled as error:
            text = "Too many tokens that name no key of this provider. Try again later."
            raise TooManyAttempts(text, error.retry_after) from None

    return budget


def revocation_of(
    core: Core, issued: IssuedTokens, ended: EndedGrants, lookup: GrantLookup
) -> Revocation:
    """Return what ends a grant by one of its tokens."""
    return Revocation(
        lookup=lookup,
        access_tokens=issued,
        ended=ended,
        policy=refresh_policy(core.settings),
        clock=core.outside.clock,
        audit=core.audit,
    )


def introspection_of(
    core: Core, access_tokens: LiveAccessTokens, lookup: GrantLookup, ended: EndedGrants
) -> Introspection:
    """Return what tells clients of tokens."""
    return Introspection(
        issuer=core.settings.issuer,
        access_tokens=access_tokens,
        lookup=lookup,
        policy=refresh_policy(core.settings),
        logins=_login_rules(core, ended),
        clock=core.outside.clock,
    )


def _login_rules(core: Core, ended: EndedGrants) -> LoginRules:
    return LoginRules(
        clients=core.clients,
        standings=core.standings,
        ended_sessions=ended.sessions,
        audit=core.audit,
    )


def grant_handlers(
    core: Core, tokens: TokenIssuer, lookup: GrantLookup, ended: EndedGrants
) -> dict[str, GrantHandler]:
    """Return the handlers of the grant types that are switched on."""
    clock, audit = core.outside.clock, core.audit
    logins = _login_rules(core, ended)
    policy = refresh_policy(core.settings)
    handlers: list[GrantHandler] = [
        AuthorizationCodeGrant(
            lookup=lookup,
            issuer=tokens,
            clock=clock,
            audit=audit,
            logins=logins,
            keep_ended_for=policy.keep_for,
            note_ended=ended.add,
        ),
        RefreshTokenGrant(
            lookup=lookup,
            issuer=tokens,
            connectors=core.connectors.connector,
            policy=policy,
            clock=clock,
            audit=audit,
            logins=logins,
            note_ended=ended.add,
        ),
        ClientCredentialsGrant(clients=core.clients, issuer=tokens, audit=audit),
    ]
    served = core.settings.oauth2.grant_types
    return {handler.grant_type: handler for handler in handlers if handler.grant_type in served}

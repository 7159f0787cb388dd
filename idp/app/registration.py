"""Registration put together: who is let in, and what a client that registers itself may have."""

from collections.abc import Callable

from starlette.requests import Request

from idp.app.core import Core
from idp.app.values import served_by
from idp.grants.lookup import LookupBudget
from idp.login.throttle import REGISTRATIONS, Throttle
from idp.oauth.client import secret_hash
from idp.oauth.client_auth import METHODS
from idp.registration.metadata import RegistrationTerms
from idp.registration.registrar import Cap, Registrar
from idp.web.registration import ConfigurationEndpoint, Gate, RegistrationEndpoint
from idp.web.registration_gate import OpenGate, TokenGate


def registration_endpoints(
    core: Core, *, budget: LookupBudget, source: Callable[[Request], str]
) -> tuple[RegistrationEndpoint, ConfigurationEndpoint] | tuple[None, None]:
    """Return the endpoints of registration and of single clients, none where it is off."""
    served = served_by(core.settings, algorithms=core.settings.signer.config.algorithms)
    if not served.registration:
        return None, None
    registrar = Registrar(
        collection=core.registered_clients,
        live=core.registered,
        terms=RegistrationTerms(
            auth_methods=METHODS,
            grant_types=served.all_grant_types,
            response_types=served.response_types,
            signing_algorithms=served.signing_algorithms,
        ),
        address=f"{core.settings.issuer}/register",
        cap=Cap(core.settings.registration.max_clients),
        budget=budget,
        random=core.outside.random,
        clock=core.outside.clock,
        audit=core.audit,
    )
    return (
        RegistrationEndpoint(gate=_gate(core, source), registrar=registrar, metrics=core.metrics),
        ConfigurationEndpoint(registrar=registrar, metrics=core.metrics),
    )


def _gate(core: Core, source: Callable[[Request], str]) -> Gate:
    throttle = Throttle(REGISTRATIONS, clock=core.outside.clock, share=core.share)
    tokens = core.settings.registration.initial_access_tokens
    if core.settings.registration.mode == "open":
        return OpenGate(throttle=throttle, source=source)
    return TokenGate(
        hashes=[secret_hash(token.get_secret_value()) for token in tokens],
        throttle=throttle,
        source=source,
        audit=core.audit,
    )

"""Requests that a client authenticates: how their form is read, and how their end is counted.

The token endpoint and its neighbours, revocation and introspection, ask here, so that all of them
refuse the same things in the same order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from idp.oauth.client import Client
from idp.oauth.client_auth import Presented, read_credentials
from idp.oauth.errors import InvalidRequest, OAuthError
from idp.oauth.params import Parameters
from idp.web.forms import read_form, read_query, single_authorization

_CREDENTIALS = frozenset(
    ("client_id", "client_secret", "client_assertion", "code", "refresh_token", "token")
)


class ClientGuard(Protocol):
    """Checks what a request presents of its client."""

    async def authenticate(self, presented: Presented, request: Request) -> Client:
        """Return the client.

        Raises InvalidClient, TooManyAttempts, and TemporarilyUnavailable while it cannot be told.
        """
        ...


async def read_client_form(request: Request) -> Parameters:
    """Return the form of a request.

    Raises InvalidRequest for credentials in the URL, where they end up in logs, and for any
    parameter that came twice (RFC 6749 sections 2.3.1 and 3.2).
    """
    if _CREDENTIALS & read_query(request).values.keys():
        raise InvalidRequest("Credentials must not be sent in the URL: use the body.")
    form = await read_form(request)
    form.refuse_repeated()
    return form


async def authenticated_client(request: Request, form: Parameters, guard: ClientGuard) -> Client:
    """Return the client that sends a form. Raises InvalidClient, InvalidRequest, or as `guard`."""
    presented = read_credentials(single_authorization(request), form)
    return await guard.authenticate(presented, request)


@dataclass(slots=True)
class Outcome:
    """What a request came to, as the label of a metric: a word of ours, or the code of an error."""

    result: str = "server_error"


@contextmanager
def counted(count: Callable[[str], None]) -> Iterator[Outcome]:
    """Count how a request ends: with the word that was set, else with the error that it raised."""
    outcome = Outcome()
    try:
        yield outcome
    except OAuthError as error:
        outcome.result = error.code
        raise
    finally:
        count(outcome.result)

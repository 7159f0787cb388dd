"""Requests that come signed: checked with the client's keys, and then as plain as any other."""

from dataclasses import dataclass

from idp.clock import Clock
from idp.keys.client_keys import CLIENT_ALGORITHMS
from idp.keys.client_signatures import ClientSignatures
from idp.keys.errors import TokenInvalid
from idp.keys.remote_key_sets import KeySetUnavailable
from idp.oauth.authorize import LONGEST_REQUEST, Refused, target_of
from idp.oauth.client import Client, Clients
from idp.oauth.errors import (
    InvalidRequest,
    InvalidRequestObject,
    OAuthError,
    Untrusted,
)
from idp.oauth.params import Parameters
from idp.oauth.request_objects import (
    REQUEST,
    REQUEST_URI,
    check_claims,
    check_outside,
    check_type,
    has_request_object,
    parameters_inside,
)
from idp.tokens.request_uris import RequestUris


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestObjects:
    """Reads the request objects of clients (RFC 9101 section 6)."""

    issuer: str
    clients: Clients
    signatures: ClientSignatures
    by_reference: RequestUris
    clock: Clock

    async def plain(self, parameters: Parameters) -> Parameters:
        """Return the parameters of a request, out of its request object if it has one.

        Raises Refused or, where no redirect URI outside can be trusted, Untrusted: what is in a
        broken request object says nothing about where to go.
        """
        if not has_request_object(parameters):
            return parameters
        try:
            return await self._inside(parameters)
        except OAuthError as error:
            raise self._refusal(parameters, error) from None

    async def _inside(self, outside: Parameters) -> Parameters:
        check_outside(outside)
        if outside.size > LONGEST_REQUEST:
            raise InvalidRequest(f"The request is longer than {LONGEST_REQUEST} bytes.")
        client = self.clients.get(outside.get("client_id") or "")
        if client is None:
            raise InvalidRequest("The client_id outside of the request object is not known.")
        text = outside.get(REQUEST)
        if text is None:
            text = await self.by_reference.fetch(outside.require(REQUEST_URI), client)
        return await self._read(text, client, outside)

    async def _read(self, text: str, client: Client, outside: Parameters) -> Parameters:
        rule = client.request_objects.signing_alg
        algorithms = (rule,) if rule else CLIENT_ALGORITHMS
        try:
            jwt = await self.signatures.read(text, client, algorithms=algorithms)
        except TokenInvalid as error:
            raise InvalidRequestObject(f"The request object is refused: {error}.") from None
        except KeySetUnavailable:
            raise InvalidRequestObject("The client's keys cannot be fetched.") from None
        check_type(jwt.header)
        check_claims(jwt.claims, client_id=client.id, issuer=self.issuer, now=self.clock())
        return parameters_inside(jwt.claims, outside)

    def _refusal(self, outside: Parameters, error: OAuthError) -> Exception:
        """Return how to tell what is wrong with a request object: to the client, or the person."""
        try:
            return Refused(target_of(outside, self.clients), error)
        except Untrusted as untrusted:
            if outside.once("client_id") in self.clients and not outside.get("redirect_uri"):
                return Untrusted(
                    "The application sent a request that cannot be used.", error.description
                )
            return untrusted

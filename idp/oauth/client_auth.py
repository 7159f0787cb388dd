"""Client authentication: what a request says of the client, and whether it is true.

Reading (`read_credentials`) and judging (`authenticate`) are two steps, so that the throttle can
stand between them.
"""

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

from idp.oauth.client import Client, Clients, secret_hash
from idp.oauth.client_assertion import JWT_BEARER, ClientAssertion
from idp.oauth.errors import InvalidClient, InvalidRequest
from idp.oauth.params import Parameters

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
"""The methods of OIDC Core section 9 that are served.

`client_secret_jwt` is not: the secrets would have to be kept readable.
"""

CONFIDENTIAL_METHODS = tuple(method for method in METHODS if method != "none")
"""Those that prove something: for doors that a public client may not enter."""

SecretMethod = Literal["client_secret_basic", "client_secret_post"]

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_NOBODY = Client(id="", name="", secret_hashes=(bytes(32),))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents. `secret` is None where none was sent, by whichever `method`."""

    client_id: str
    secret: str | None = field(repr=False)
    method: SecretMethod = "client_secret_post"


Presented = Credentials | ClientAssertion


def refusal() -> InvalidClient:
    """Return the one answer to unknown client, wrong secret and missing secret."""
    return InvalidClient(
        "Client authentication failed. Check client_id and client_secret against the provider's"
        " configuration."
    )


def read_credentials(authorization: str | None, form: Parameters) -> Presented:
    """Return what a request presents of its client (RFC 6749 section 2.3, RFC 7521 section 4.2).

    Raises InvalidRequest when two methods are used at once, InvalidClient when there are no
    credentials or the Basic header cannot be read.
    """
    if any(form.get(name) is not None for name in ("client_assertion", "client_assertion_type")):
        return _read_assertion(authorization, form)
    body_id, body_secret = form.get("client_id"), form.get("client_secret")
    if authorization is None:
        if body_id is None:
            raise InvalidClient("No client authentication came with the request.")
        return Credentials(client_id=body_id, secret=body_secret)
    basic = _read_basic(authorization)
    if body_secret is not None:
        raise InvalidRequest("Client credentials came twice: use the header or the body, not both.")
    if body_id is not None and body_id != basic.client_id:
        raise InvalidRequest("client_id in the body differs from the Authorization header.")
    return basic


def _read_assertion(authorization: str | None, form: Parameters) -> ClientAssertion:
    text, kind = form.get("client_assertion"), form.get("client_assertion_type")
    if authorization is not None or form.get("client_secret") is not None:
        raise InvalidRequest("Client credentials came twice: send the assertion alone.")
    if text is None or kind is None:
        raise InvalidRequest("client_assertion and client_assertion_type belong together.")
    if kind != JWT_BEARER:
        raise InvalidClient(f"The only client_assertion_type is {JWT_BEARER}.")
    return ClientAssertion(text, form.get("client_id"))


def _read_basic(authorization: str) -> Credentials:
    """Decode strictly: scheme, canonical base64, UTF-8, form-encoding of both parts."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("Only the Basic scheme authenticates a client here.")
    if len(encoded) % 4 or _BASE64.fullmatch(encoded) is None:
        raise InvalidClient("The Basic credentials are not base64.")
    try:
        octets = b64decode(encoded, validate=True)
        decoded = octets.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClient("The Basic credentials are not base64 of UTF-8 text.") from None
    if b64encode(octets).decode("ascii") != encoded:
        # Spare bits: two texts for one secret are one too many.
        raise InvalidClient("The Basic credentials are not base64.")
    client_id, colon, secret = decoded.partition(":")
    if not colon or not client_id:
        raise InvalidClient("The Basic credentials are not of the form client_id:client_secret.")
    # An empty secret is what kubectl sends first for a public client: it means "no secret".
    return Credentials(
        client_id=_form_decoded(client_id),
        secret=_form_decoded(secret) or None,
        method="client_secret_basic",
    )


def _form_decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidClient("The Basic credentials are not form-encoded UTF-8.") from None


def authenticate(credentials: Credentials, clients: Clients) -> Client:
    """Return the client that the credentials prove. Raises InvalidClient, always with one text.

    Unknown client and wrong secret take the same steps (`security` class: enumeration).
    """
    client = clients.get(credentials.client_id)
    if client is not None and client.is_public:
        if credentials.secret is not None:
            raise refusal()
        return client
    candidate = _NOBODY if client is None else client
    offered = secret_hash(credentials.secret or "")
    matches = [hmac.compare_digest(offered, known) for known in candidate.secret_hashes]
    if client is None or credentials.secret is None or not any(matches):
        raise refusal()
    if client.auth_method not in ("", credentials.method):
        raise refusal()
    return client

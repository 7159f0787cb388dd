"""How an application talks to its OpenID Connect provider: the whole conversation, step by step."""

import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["RS256", "ES256", "ES384", "ES512"]
LEEWAY_SECONDS = 60


class ProviderError(Exception):
    """The provider said no, said something odd, or said nothing.

    The text is a sentence for the person in front of the screen; `code` and `description` are the
    provider's own words (RFC 6749 sections 4.1.2.1 and 5.2), when there are any.
    """

    def __init__(self, sentence: str, *, code: str = "", description: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to sign in: what to remember until the browser comes back with `state`."""

    url: str
    state: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider issued. `claims` are those of the ID token, checked."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    claims: Mapping[str, Any]


class Provider:
    """One client at one provider.

    Metadata and keys are fetched each time they are needed, which is the simplest way to be right;
    a busy application keeps them for as long as `Cache-Control` says.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        redirect_uri: str,
        verify: ssl.SSLContext,
        clock: Callable[[], float],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self._clock = clock
        self._client_arguments = {
            "client_id": client_id,
            "client_secret": client_secret,
            "redirect_uri": redirect_uri,
            "code_challenge_method": "S256",
            "verify": verify,
            "transport": transport,
            "timeout": 10,
        }

    async def depart(self, scopes: Sequence[str]) -> Attempt:
        """Return where to send the browser so that a person can sign in. Raises ProviderError."""
        attempt = {"state": _random(), "nonce": _random(), "code_verifier": _random()}
        async with self._conversation() as client:
            metadata = await self._metadata(client)
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], scope=" ".join(scopes), **attempt
            )
        return Attempt(url=url, **attempt)

    async def redeem(self, answer: Mapping[str, str], attempt: Attempt) -> Tokens:
        """Exchange the code that the browser brought back for tokens. Raises ProviderError.

        The caller has already matched `state` with the attempt of this very browser.
        """
        async with self._conversation() as client:
            metadata = await self._metadata(client)
            self._check_sender(answer, metadata)
            if "error" in answer:
                raise OAuthError(answer["error"], answer.get("error_description"))
            token = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=answer["code"],
                code_verifier=attempt.code_verifier,
            )
            claims = await self._checked(client, metadata, token["id_token"])
            if claims.get("nonce") != attempt.nonce:
                raise ProviderError("The ID token belongs to another sign-in (nonce).")
            return _tokens(token, claims)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Return new tokens for the same person. Raises ProviderError."""
        async with self._conversation() as client:
            metadata = await self._metadata(client)
            token = await client.refresh_token(
                metadata["token_endpoint"], refresh_token=tokens.refresh_token
            )
            # A provider may leave out the ID token here (OpenID Connect Core, section 12.2).
            token.setdefault("id_token", tokens.id_token)
            claims = await self._checked(client, metadata, token["id_token"])
            if claims["sub"] != tokens.claims["sub"]:
                raise ProviderError("The new ID token is about another person (sub).")
            return _tokens(token, claims)

    async def userinfo(self, tokens: Tokens) -> dict[str, Any]:
        """Return what the provider tells about the person now. Raises ProviderError."""
        async with self._conversation() as client:
            metadata = await self._metadata(client)
            client.token = {"access_token": tokens.access_token, "token_type": "bearer"}
            claims = _json(await client.get(metadata["userinfo_endpoint"]))
            # Never believe it about anybody else (OpenID Connect Core, section 5.3.2).
            if claims.get("sub") != tokens.claims["sub"]:
                raise ProviderError("userinfo answered about another person (sub).")
            return claims

    async def _metadata(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """Return the provider's discovery document (OpenID Connect Discovery, section 4)."""
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = _json(await client.request("GET", url, withhold_token=True))
        if metadata["issuer"] != self.issuer:
            raise ProviderError(f"The provider calls itself {metadata['issuer']}.")
        return metadata

    def _check_sender(self, answer: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
        """Refuse an answer that another provider sent (RFC 9207 section 2.4)."""
        promised = metadata.get("authorization_response_iss_parameter_supported", False)
        if (promised or "iss" in answer) and answer.get("iss") != self.issuer:
            raise ProviderError("The answer does not come from our provider (iss).")

    async def _checked(
        self, client: AsyncOAuth2Client, metadata: Mapping[str, Any], id_token: str
    ) -> dict[str, Any]:
        """Return the claims of an ID token that is genuine, current and for us (Core 3.1.3.7)."""
        answer = await client.request("GET", metadata["jwks_uri"], withhold_token=True)
        keys = _json(answer)
        claims = jwt.decode(id_token, KeySet.import_key_set(keys), ALGORITHMS).claims  # type: ignore[arg-type]
        expected = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        )
        expected.validate(claims)
        if claims.get("azp", self.client_id) != self.client_id:
            raise ProviderError("The ID token was issued to another application (azp).")
        return claims

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[AsyncOAuth2Client]:
        """Yield a client; whatever goes wrong with it leaves here as a ProviderError."""
        try:
            async with AsyncOAuth2Client(**self._client_arguments) as client:
                yield client
        except OAuthError as error:
            raise ProviderError(
                "The provider refused.", code=error.error, description=error.description or ""
            ) from error
        except httpx2.HTTPStatusError as error:
            raise ProviderError(
                f"The provider answered with status {error.response.status_code}.",
                description=error.response.headers.get("www-authenticate", ""),
            ) from error
        except httpx2.HTTPError as error:
            raise ProviderError(
                f"The provider at {self.issuer} cannot be reached. Is it running?",
                description=str(error),
            ) from error
        except JoseError as error:
            raise ProviderError("The ID token is not valid.", description=str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderError("The provider's answer makes no sense to us.") from error


def _tokens(token: Mapping[str, Any], claims: Mapping[str, Any]) -> Tokens:
    return Tokens(
        id_token=token["id_token"],
        access_token=token["access_token"],
        refresh_token=token.get("refresh_token"),
        claims=claims,
    )


def _json(response: httpx2.Response) -> dict[str, Any]:
    response.raise_for_status()
    answer = response.json()
    if not isinstance(answer, dict):
        raise ValueError("not a JSON object")
    return answer


def _random() -> str:
    """Return 256 unguessable bits, in letters that RFC 7636 section 4.1 allows in a verifier."""
    return secrets.token_urlsafe(32)

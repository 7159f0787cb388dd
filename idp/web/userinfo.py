"""GET and POST /userinfo (OIDC Core section 5.3), answered from the access token itself."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.oauth.bearer import read_bearer
from idp.oauth.claims import userinfo_claims
from idp.oauth.errors import InsufficientScope
from idp.oauth.params import NO_PARAMETERS, Parameters
from idp.oauth.scopes import OPENID
from idp.tokens.access import AccessTokens
from idp.tokens.signed_userinfo import SignedUserinfo
from idp.web.answers import NO_STORE
from idp.web.forms import read_optional_form, read_query, single_authorization


@dataclass(frozen=True, slots=True, kw_only=True)
class UserinfoEndpoint:
    """Tells a client about the person whose access token it holds; asks no store."""

    issuer: str
    access_tokens: AccessTokens
    signed: SignedUserinfo

    async def __call__(self, request: Request) -> Response:
        """Return the claims of the person, as JSON or signed as the client wants them.

        Raises OAuthError as RFC 6750 section 3.1 says, and TemporarilyUnavailable.
        """
        token = read_bearer(
            single_authorization(request),
            query=read_query(request),
            form=await self._form(request),
        )
        if token is None:
            # No error code where nothing was tried (RFC 6750 section 3.1).
            challenge = {"www-authenticate": f'Bearer realm="{self.issuer}"', **NO_STORE}
            return JSONResponse({}, status_code=401, headers=challenge)
        claims = self.access_tokens.verify(token)
        if OPENID not in str(claims.get("scope", "")).split(" "):
            raise InsufficientScope("The access token was issued without the scope openid.")
        told = userinfo_claims(claims)
        jwt = self.signed.jwt(told, client_id=claims["client_id"])
        if jwt:
            return Response(jwt, media_type="application/jwt", headers=NO_STORE)
        return JSONResponse(told, headers=NO_STORE)

    async def _form(self, request: Request) -> Parameters:
        """Return the form of a POST; one without a body has none, whatever its media type."""
        if request.method != "POST":
            return NO_PARAMETERS
        return await read_optional_form(request)

"""A web application that signs people in with Authlib's client for Starlette, as its pages show.

Run as `python authlib_party.py CONFIG`, a JSON file. What it learned is told at /state, for a test
to read. With `private_key`, a PEM, it authenticates by private_key_jwt.
"""

import json
import secrets
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from authlib.integrations.starlette_client import OAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc7523 import (  # type: ignore[import-untyped]
    PrivateKeyJWT,
    private_key_jwt_sign,
)
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Refused(Exception):
    """Something came that this application does not take."""


class Application:
    """One client and its one person; `state` is what a test is told."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.state: dict[str, Any] = {"ended_sessions": [], "came_back_signed_out": False}
        self.logout_tokens: set[str] = set()
        self.nonce = ""
        self.client = _client(config)

    async def login(self, request: Request) -> Response:
        """Send the browser off."""
        extra = dict(request.query_params)
        answer: Response = await self.client.authorize_redirect(
            request, f"{self.config['url']}/callback", **extra
        )
        return answer

    async def callback(self, request: Request) -> None:
        """Take the answer; the library checks state, nonce and the ID token."""
        token = await self.client.authorize_access_token(request)
        self.nonce = token["userinfo"]["nonce"]
        self._keep(token, token["userinfo"])

    async def refresh(self, _: Request) -> None:
        """Renew the tokens and verify the new ID token."""
        token = await self.client.fetch_access_token(
            grant_type="refresh_token", refresh_token=self.state["refresh_token"]
        )
        self._keep(token, await self.client.parse_id_token(token, nonce=self.nonce))

    async def userinfo(self, _: Request) -> None:
        """Ask about the person."""
        token = {"access_token": self.state["access_token"], "token_type": "Bearer"}
        told = dict(await self.client.userinfo(token=token))
        if told["sub"] != self.state["claims"]["sub"]:
            raise Refused("userinfo is about somebody else")
        self.state["userinfo"] = told

    async def logout(self, request: Request) -> Response:
        """Send the browser off to sign out."""
        answer: Response = await self.client.logout_redirect(
            request,
            post_logout_redirect_uri=f"{self.config['url']}/signed-out",
            id_token_hint=self.state["id_token"],
        )
        return answer

    async def signed_out(self, request: Request) -> None:
        """Take the browser back; the library checks state."""
        await self.client.validate_logout_response(request)
        self.state["came_back_signed_out"] = True

    async def back_channel(self, request: Request) -> None:
        """Hear of the end of a session. Authlib leaves that to joserfc, by the same author."""
        async with request.form() as form:
            text = str(form["logout_token"])
        keys = KeySet.import_key_set(await self.client.fetch_jwk_set(force=True))
        token = jwt.decode(text, keys, ["RS256", "ES256"])
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.config["issuer"]},
            aud={"essential": True, "value": self.config["client_id"]},
            iat={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
            sid={"essential": True},
        ).validate(token.claims)
        if token.header.get("typ") != "logout+jwt" or _EVENT not in token.claims["events"]:
            raise Refused("no logout token")
        if "nonce" in token.claims or token.claims["jti"] in self.logout_tokens:
            raise Refused("no logout token, or one that came before")
        self.logout_tokens.add(token.claims["jti"])
        self.state["ended_sessions"].append(token.claims["sid"])

    async def tell(self, _: Request) -> None:
        """Do nothing: the answer is the state."""

    def _keep(self, token: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        names = ("id_token", "access_token", "refresh_token")
        self.state |= {name: token[name] for name in names} | {"claims": dict(claims)}

    def step(self, do: Callable[[Request], Awaitable[None]]) -> Callable[..., Awaitable[Response]]:
        """Return an endpoint that answers with the state, and 400 with `error` after a failure."""

        async def endpoint(request: Request) -> Response:
            headers = {"cache-control": "no-store"}
            try:
                await do(request)
            except Exception as error:
                told = self.state | {"error": repr(error)}
                return JSONResponse(told, status_code=400, headers=headers)
            return JSONResponse(self.state, headers=headers)

        return endpoint

    def page(
        self, title: str, do: Callable[[Request], Awaitable[None]]
    ) -> Callable[..., Awaitable[Response]]:
        """Return an endpoint for people, whose title says how it went."""

        async def endpoint(request: Request) -> Response:
            self.state.pop("error", None)
            shown = title
            try:
                await do(request)
            except Exception as error:
                self.state["error"], shown = repr(error), "Failed"
            head = "<!doctype html><html lang=en><link rel=icon href=data:>"
            return HTMLResponse(f"{head}<title>{shown}</title>")

        return endpoint


def _client(config: Mapping[str, Any]) -> Any:
    arguments: dict[str, Any] = {
        "client_id": config["client_id"],
        "client_secret": config.get("client_secret"),
        "server_metadata_url": f"{config['issuer']}/.well-known/openid-configuration",
    }
    client_kwargs: dict[str, Any] = {
        "scope": " ".join(config["scopes"]),
        "code_challenge_method": "S256",
        "verify": ssl.create_default_context(cafile=config["ca"]),
    }
    key = config.get("private_key")
    if key is not None:
        arguments |= {"client_secret": key, "client_auth_methods": [_BriefAssertions()]}
        client_kwargs["token_endpoint_auth_method"] = "private_key_jwt"
    return OAuth().register("provider", client_kwargs=client_kwargs, **arguments)


class _BriefAssertions(PrivateKeyJWT):  # type: ignore[misc]
    """Assertions that live for a minute; the library's own live for an hour.

    Not by its argument `claims`: that is one object for all assertions, with one `jti`.
    """

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """Return an assertion for one request."""
        signed: str = private_key_jwt_sign(
            auth.client_secret,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            expires_in=60,
        )
        return signed


def main() -> None:
    """Read the configuration and serve until killed."""
    config = json.loads(Path(sys.argv[1]).read_text())
    own = Application(config)
    routes = [
        Route("/login", own.login),
        Route("/callback", own.page("Signed in", own.callback), methods=["GET", "POST"]),
        Route("/refresh", own.step(own.refresh), methods=["POST"]),
        Route("/userinfo", own.step(own.userinfo), methods=["POST"]),
        Route("/logout", own.logout),
        Route("/signed-out", own.page("Signed out", own.signed_out)),
        Route("/backchannel", own.step(own.back_channel), methods=["POST"]),
        Route("/state", own.step(own.tell)),
    ]
    # None: an answer that comes as a form is posted by another site.
    session = Middleware(
        SessionMiddleware, secret_key=secrets.token_urlsafe(), same_site="none", https_only=True
    )
    host, _, port = config["listen"].rpartition(":")
    uvicorn.run(
        Starlette(routes=routes, middleware=[session]),
        host=host,
        port=int(port),
        ssl_certfile=config["certificate"],
        ssl_keyfile=config["key"],
        log_level="warning",
    )


main()

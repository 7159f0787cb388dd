"""A credential plugin that signs people in as kubelogin does, in one file.

kubectl runs it: `python kubelogin.py --issuer ... --client-id ... --cache FILE --browser FILE`. The
address that a person has to open is written to `--browser`; then it waits on a loopback port for
the browser to come back. Tokens are kept in `--cache` and refreshed when they have expired. As with
kubelogin the redirect URI is `http://localhost:PORT` without a path, the client is public, `openid`
is asked last and `access_type=offline` is sent along.
"""

import argparse
import base64
import hashlib
import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

_PAGE = """<!doctype html><html lang=en><meta name=viewport content='width=device-width'>
<link rel=icon href=data:><title>Signed in</title>
<h1>You are signed in</h1><p>Close this window and go back to the terminal.</p>"""
_WAIT_SECONDS = 60


class LoginFailed(Exception):
    """The person could not be signed in; the text is for them."""


@dataclass(frozen=True, slots=True)
class _Provider:
    """The issuer's discovery document, and a connection."""

    http: httpx.Client
    issuer: str
    client_id: str
    metadata: Mapping[str, str]

    def sign_in(self, browser: Path) -> dict[str, str]:
        """Have a person sign in in their browser; return the provider's answer."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = hashlib.sha256(verifier.encode()).digest()
        with _Listener() as listener:
            query = {
                "access_type": "offline",
                "client_id": self.client_id,
                "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
                "nonce": nonce,
                "redirect_uri": listener.redirect_uri,
                "response_type": "code",
                "scope": "offline_access email profile groups openid",
                "state": state,
            }
            url = f"{self.metadata['authorization_endpoint']}?{urlencode(query)}"
            browser.write_text(url)
            returned = listener.wait()
        if returned.get("state") != state:
            raise LoginFailed("somebody else's answer came back (state)")
        if returned.get("error"):
            raise LoginFailed(f"{returned['error']}: {returned.get('error_description')}")
        return self._token(
            nonce,
            grant_type="authorization_code",
            code=returned["code"],
            redirect_uri=listener.redirect_uri,
            code_verifier=verifier,
        )

    def refresh(self, refresh_token: str) -> dict[str, str]:
        """Return the provider's answer to a refresh token."""
        return self._token(None, grant_type="refresh_token", refresh_token=refresh_token)

    def _token(self, nonce: str | None, **form: str) -> dict[str, str]:
        answer = self.http.post(
            self.metadata["token_endpoint"], data={**form, "client_id": self.client_id}
        )
        document = answer.json()
        if answer.status_code != 200:
            raise LoginFailed(f"{document['error']}: {document['error_description']}")
        claims = self._checked(document["id_token"])
        if nonce is not None and claims["nonce"] != nonce:
            raise LoginFailed("the ID token belongs to another sign-in (nonce)")
        return {name: document[name] for name in ("id_token", "refresh_token")}

    def _checked(self, id_token: str) -> Mapping[str, object]:
        keys = self.http.get(self.metadata["jwks_uri"]).raise_for_status().json()
        claims = jwt.decode(id_token, KeySet.import_key_set(keys), ["RS256"]).claims
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
        ).validate(claims)
        return claims


class _Listener:
    """Waits on a loopback port of its own for one answer.

    Each connection has a thread: browsers open some that they send nothing over.
    """

    def __init__(self) -> None:
        self._answers: list[dict[str, str]] = []
        self._answered = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self.redirect_uri = f"http://localhost:{self._server.server_address[1]}"

    def wait(self) -> dict[str, str]:
        if not self._answered.wait(_WAIT_SECONDS):
            raise LoginFailed("nobody signed in: the browser did not come back in time")
        return self._answers[0]

    def __enter__(self) -> "_Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers, answered = self._answers, self._answered

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def setup(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                super().setup()

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                body = _PAGE.encode() if parts.path == "/" else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                if body and parts.query:
                    answers.append(dict(parse_qsl(parts.query)))
                    answered.set()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the terminal is the person's."""

        return Handler


def main() -> int:
    """Print an ExecCredential with a token that is good now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--browser", type=Path, required=True)
    options = parser.parse_args()
    try:
        tokens = _tokens(options)
    except (LoginFailed, httpx.HTTPError) as error:
        print(f"cannot sign in: {error}", file=sys.stderr)
        return 1
    options.cache.touch(mode=0o600)
    options.cache.write_text(json.dumps(tokens))
    print(json.dumps(_exec_credential(tokens["id_token"])))
    return 0


def _tokens(options: argparse.Namespace) -> dict[str, str]:
    cached: dict[str, str] = {}
    if options.cache.exists():
        cached = json.loads(options.cache.read_text())
        if _expires_at(cached["id_token"]) > time.time():
            return cached
    verify = ssl.create_default_context(cafile=options.ca)
    with httpx.Client(verify=verify, trust_env=False, timeout=30) as http:
        metadata = http.get(f"{options.issuer}/.well-known/openid-configuration").json()
        provider = _Provider(http, options.issuer, options.client_id, metadata)
        if cached:
            try:
                return provider.refresh(cached["refresh_token"])
            except LoginFailed as error:
                print(f"sign in again: {error}", file=sys.stderr)
        return provider.sign_in(options.browser)


def _expires_at(id_token: str) -> int:
    payload = id_token.split(".")[1]
    exp = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    if not isinstance(exp, int):
        raise LoginFailed(f"exp is no integer: {exp!r}")
    return exp


def _exec_credential(id_token: str) -> Mapping[str, object]:
    expires_at = datetime.fromtimestamp(_expires_at(id_token), UTC)
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "token": id_token,
            "expirationTimestamp": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


if __name__ == "__main__":
    sys.exit(main())

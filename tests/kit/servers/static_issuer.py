"""An OpenID Connect issuer that is two documents and a key: it signs whatever a test wants.

Stands for the rest of the world, never for the product: foreign issuers, foreign keys, and the
proof that kube-apiserver is set up right before any provider runs.
"""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.kit.servers.certificates import ServerCertificate
from tests.kit.servers.static_pages import StaticPage, StaticPages


class StaticIssuer:
    """An https issuer on a port of its own; entering it starts its thread."""

    def __init__(self, certificate: ServerCertificate, *, kid: str = "static") -> None:
        """Make a key and listen at once, so that `url` is known; answer after entering."""
        self._kid = kid
        self._key = RSAKey.generate_key(2048, {"kid": kid, "alg": "RS256", "use": "sig"})
        self._pages = StaticPages(certificate=certificate)
        self.url = self._pages.url
        self._publish("/.well-known/openid-configuration", self._metadata())
        self._publish("/keys", {"keys": [self._key.as_dict(private=False)]})

    def sign(self, claims: Mapping[str, object], *, typ: str = "JWT") -> str:
        """Return a compact JWT of exactly these claims, signed with RS256."""
        header = {"alg": "RS256", "kid": self._kid, "typ": typ}
        return jwt.encode(header, dict(claims), self._key)

    def __enter__(self) -> Self:
        self._pages.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pages.__exit__(kind, error, traceback)

    def _publish(self, path: str, document: Mapping[str, object]) -> None:
        self._pages.pages[path] = StaticPage(json.dumps(document), content_type="application/json")

    def _metadata(self) -> Mapping[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

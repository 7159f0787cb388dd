"""The documents that never change between two configurations or key rotations."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from idp.transport.documents import Documents, StaticDocument
from idp.web.pages import assets

Header = tuple[bytes, bytes]

_LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Publishes discovery, key set and page assets below the issuer's path.

    `key_cache_for` is the `max-age` of the key set. kube-apiserver keeps its copy that long, so the
    rotation of keys must allow for it.
    """

    base_path: str
    discovery: Callable[[], bytes]
    documents: Documents
    headers: tuple[Header, ...]
    key_cache_for: timedelta
    _fixed: Mapping[str, StaticDocument] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare what no rotation changes."""
        forever = (b"cache-control", b"public, max-age=31536000, immutable")
        fixed = {
            self.base_path + path: self._document(
                asset.body, (b"content-type", asset.content_type.encode()), forever
            )
            for path, asset in assets().items()
        }
        robots = b"User-agent: *\nDisallow: /\n"
        fixed[f"{self.base_path}/robots.txt"] = self._document(
            robots, (b"content-type", b"text/plain"), (b"cache-control", b"public, max-age=3600")
        )
        object.__setattr__(self, "_fixed", fixed)

    def publish(self, key_set: bytes) -> None:
        """Serve this key set, and discovery as it is now, from this moment on."""
        seconds = int(self.key_cache_for.total_seconds())
        cached = (b"cache-control", f"public, max-age={seconds}".encode())
        json_type = (b"content-type", b"application/json")
        discovery = self._document(self.discovery(), json_type, cached)
        keys = self._document(key_set, json_type, cached)
        self.documents.publish(
            {
                **self._fixed,
                **dict.fromkeys(discovery_paths(self.base_path), discovery),
                f"{self.base_path}/keys": keys,
            }
        )

    def _document(self, body: bytes, *own: Header) -> StaticDocument:
        etag = f'"{sha256(body).hexdigest()[:32]}"'.encode()
        return StaticDocument(body=body, headers=(*own, *self.headers), etag=etag)


async def follow_discovery(
    discovery: Callable[[], bytes],
    publish: Callable[[], None],
    *,
    pause: Callable[[float], Awaitable[None]],
) -> None:
    """Publish anew whenever discovery would say something else, until cancelled.

    Keys are published as they change; what can be told of people changes with the people.
    """
    said = b""
    while True:
        if (now := discovery()) != said:
            publish()
            said = now
        await pause(_LOOK_EVERY_SECONDS)


def discovery_paths(base_path: str) -> tuple[str, ...]:
    """Return the paths of discovery: OIDC Discovery 4.1, and RFC 8414 section 3 with its variant.

    RFC 8414 puts the well-known name before the issuer's path; some clients look only there.
    """
    return (
        f"{base_path}/.well-known/openid-configuration",
        f"/.well-known/openid-configuration{base_path}",
        f"/.well-known/oauth-authorization-server{base_path}",
    )

"""Sealed values: bytes that only we can read and that only we could have made.

AES-256-GCM with a 96-bit random nonce (NIST SP 800-38D section 8.2.2). Every purpose has keys of
its own, derived by HKDF (RFC 5869), so that a value sealed for one purpose never opens for another.
With random nonces a key should seal fewer than 2**32 values per purpose: replace it long before.

    sealed = base64url( version, 1 byte | key id, 6 | nonce, 12 | ciphertext and tag )
    associated data = version | key id | length of purpose, 4 bytes | purpose | context
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from idp.keys import base64url
from storage.base import SealKeyUnknown

SECRET_LENGTH = 32
MAX_LENGTH = 64 * 1024

_VERSION = b"\x01"
_ID_LENGTH = 6
_ID_CHARACTERS = 8
_NONCE_LENGTH = 12
_HEADER_LENGTH = len(_VERSION) + _ID_LENGTH
# Whole groups of base64url that hold the header.
_START_CHARACTERS = 12
_SMALLEST = _HEADER_LENGTH + _NONCE_LENGTH + 16
# Ids and tags are multiples of three bytes: their base64url has no spare bits.
_TAG_LENGTH = 18


class SealBroken(ValueError):
    """The value was not sealed or tagged by us for this purpose and context."""


class SealingKeyUnknown(SealBroken, SealKeyUnknown):
    """The value names a key that is not among ours: foreign, not known yet, or gone too early."""


class SealTooLarge(ValueError):
    """The value would be longer, once sealed, than we would open."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """32 secret bytes. The id is derived from them, so a key cannot carry a wrong one.

    `seals_from` is when it begins to seal, None for "from the beginning"; see `sealing_order`.
    """

    secret: bytes = field(repr=False)
    id: str = field(init=False)
    seals_from: datetime | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Derive the id. Raises ValueError for a secret of another length."""
        if len(self.secret) != SECRET_LENGTH:
            raise ValueError(f"a sealing key has {SECRET_LENGTH} bytes, not {len(self.secret)}")
        raw = _derive(self.secret, b"id", _ID_LENGTH)
        object.__setattr__(self, "id", base64url.encode(raw))


def key_id_of(sealed: str) -> str:
    """Return the id of the key that a text says it was sealed with; nothing is authenticated.

    Raises SealBroken for what is no sealed text.
    """
    try:
        raw = base64url.decode(sealed[:_START_CHARACTERS])
    except ValueError:
        raise SealBroken("not sealed text") from None
    if len(raw) < _HEADER_LENGTH or raw[:1] != _VERSION:
        raise SealBroken("sealed text of an unknown version")
    return base64url.encode(raw[1:_HEADER_LENGTH])


class SealingKeys:
    """Seals with the first key, opens with all. Safe to share between threads.

    `use` exchanges the keys while it serves; each call works with one set from start to end.
    """

    def __init__(
        self,
        keys: Sequence[SealingKey],
        *,
        random: Callable[[int], bytes],
        max_length: int = MAX_LENGTH,
    ) -> None:
        """Take the keys, the sealing one first; `max_length` is in characters of sealed text.

        Raises ValueError if there is no key, or one twice.
        """
        self._held = _Held(keys)
        self._random = random
        self._max_length = max_length
        self._on_unknown: Callable[[], None] | None = None

    def __repr__(self) -> str:
        """Show the ids only."""
        return f"SealingKeys({', '.join(key.id for key in self.keys)})"

    @property
    def keys(self) -> tuple[SealingKey, ...]:
        """Return the keys, the sealing one first."""
        return self._held.keys

    def use(self, keys: Sequence[SealingKey]) -> None:
        """Seal with the first of these from now on, and open with all of them and no others.

        Raises ValueError if there is no key, or one twice; then nothing has changed.
        """
        self._held = _Held(keys)

    def tell_of_unknown(self, hear: Callable[[], None] | None) -> None:
        """Call `hear` whenever a sealed text names a key that we do not have; None ends that.

        It is called in the thread that opens, and must neither block nor raise.
        """
        self._on_unknown = hear

    def seal(self, purpose: str, plaintext: bytes, *, context: bytes = b"") -> str:
        """Return URL-safe text. Raises SealTooLarge if it would not open again."""
        held = self._held
        header = _VERSION + base64url.decode(held.seals_with)
        nonce = self._random(_NONCE_LENGTH)
        cipher = held.cipher(held.seals_with, purpose)
        body = cipher.encrypt(nonce, plaintext, _associated(header, purpose, context))
        sealed = base64url.encode(header + nonce + body)
        if len(sealed) > self._max_length:
            raise SealTooLarge(f"a {purpose} would take more than {self._max_length} characters")
        return sealed

    def open(self, purpose: str, sealed: str, *, context: bytes = b"") -> bytes:
        """Return the plaintext.

        Raises SealBroken for anything that `seal` did not return for this purpose and context, and
        SealingKeyUnknown if it names a key that we do not have.
        """
        if len(sealed) > self._max_length:
            raise SealBroken(f"the sealed {purpose} is too long")
        try:
            raw = base64url.decode(sealed)
        except ValueError:
            raise SealBroken(f"the sealed {purpose} is not sealed text") from None
        if len(raw) < _SMALLEST or raw[:1] != _VERSION:
            raise SealBroken(f"the sealed {purpose} is too short or of an unknown version")
        header, body = raw[:_HEADER_LENGTH], raw[_HEADER_LENGTH:]
        nonce, ciphertext = body[:_NONCE_LENGTH], body[_NONCE_LENGTH:]
        try:
            cipher = self._held.cipher(base64url.encode(header[1:]), purpose)
            return cipher.decrypt(nonce, ciphertext, _associated(header, purpose, context))
        except SealingKeyUnknown:
            if self._on_unknown is not None:
                self._on_unknown()
            raise
        except InvalidTag:
            raise SealBroken(f"the sealed {purpose} does not open") from None

    def tag(self, purpose: str, message: bytes) -> str:
        """Return 32 URL-safe characters: the key's id and an HMAC-SHA256 cut to 144 bits."""
        held = self._held
        return held.tag(held.seals_with, purpose, message)

    def check_tag(self, purpose: str, message: bytes, tag: str) -> None:
        """Accept a tag that we made. Raises SealBroken or SealingKeyUnknown."""
        expected = self._held.tag(tag[:_ID_CHARACTERS], purpose, message)
        # As bytes, because compare_digest refuses text that is not ASCII.
        if not hmac.compare_digest(expected.encode(), tag.encode("utf-8", "replace")):
            raise SealBroken(f"the tag of a {purpose} is not ours")


class _Held:
    """One set of keys with what is derived from them; replaced as a whole, never changed."""

    def __init__(self, keys: Sequence[SealingKey]) -> None:
        if not keys:
            raise ValueError("no sealing key: at least one is needed")
        self._by_id = {key.id: key for key in keys}
        if len(self._by_id) != len(keys):
            raise ValueError("a sealing key is listed twice: remove one of them")
        self.keys = tuple(keys)
        self.seals_with = keys[0].id
        # Purposes are words of our own code, so these stay small.
        self._ciphers: dict[tuple[str, str], AESGCM] = {}
        # Keyed once and copied for each tag: keying anew costs three times the tag.
        self._tag_macs: dict[tuple[str, str], hmac.HMAC] = {}

    def tag(self, key_id: str, purpose: str, message: bytes) -> str:
        keyed = self._tag_macs.get((key_id, purpose))
        if keyed is None:
            secret = _derive(self._key(key_id, purpose).secret, b"tag " + purpose.encode(), 32)
            keyed = self._tag_macs[key_id, purpose] = hmac.new(secret, digestmod="sha256")
        mac = keyed.copy()
        mac.update(message)
        return key_id + base64url.encode(mac.digest()[:_TAG_LENGTH])

    def cipher(self, key_id: str, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key_id, purpose))
        if cipher is None:
            secret = self._key(key_id, purpose).secret
            cipher = AESGCM(_derive(secret, b"seal " + purpose.encode(), SECRET_LENGTH))
            self._ciphers[key_id, purpose] = cipher
        return cipher

    def _key(self, key_id: str, purpose: str) -> SealingKey:
        try:
            return self._by_id[key_id]
        except KeyError:
            raise SealingKeyUnknown(
                f"a {purpose} names a sealing key that is not among ours ({', '.join(self._by_id)})"
            ) from None


def _associated(header: bytes, purpose: str, context: bytes) -> bytes:
    name = purpose.encode()
    return b"".join((header, len(name).to_bytes(4, "big"), name, context))


def _derive(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=b"kube-idp " + info).derive(secret)

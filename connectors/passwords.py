"""Checks passwords against hashes and makes new hashes; the only door to argon2 and bcrypt.

Every check of one hash costs the same whatever was typed: a password that can be nobody's is
refused only after a hash of the same cost, so that time does not tell who exists. `PasswordHasher`
runs the checks in threads of their own, few enough that tokens and pages go on meanwhile.
"""

import asyncio
import base64
import binascii
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import bcrypt
from argon2.exceptions import Argon2Error, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from connectors.base import BadCredentials, ConnectorUnavailable

LONGEST_PASSWORD = 1024
"""Bytes of UTF-8."""

LONGEST_BCRYPT_PASSWORD = 72
"""Bytes of UTF-8; bcrypt sees no more, so a longer one is refused rather than cut silently."""

_PLACEHOLDER = b"placeholder"
_RANDOM_SALT = 16
_DIGEST = 32

_BCRYPT = re.compile(
    r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)
_BCRYPT_COSTS = range(10, 17)
"""As in Dex: cheaper is too weak, dearer takes more than four seconds a try."""

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9]\d{0,6}),t=(?P<passes>[1-9]\d?),p=(?P<lanes>[1-9]\d?)"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,88})\$(?P<digest>[A-Za-z0-9+/]{22,88})"
)
_ARGON2ID_MOST_MEMORY = 256 * 1024
"""KiB. Each thread of the hasher needs this much while it checks."""

_STANDARD_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BCRYPT_BASE64 = bytes.maketrans(
    _STANDARD_BASE64, b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)


class UnusableHash(ValueError):
    """The text is no hash that this server checks; the message never repeats it."""


class UnusablePassword(ValueError):
    """The text can be nobody's password; the message never repeats it."""


@dataclass(frozen=True, slots=True)
class Bcrypt:
    """What checking a bcrypt hash costs: two to the power of `cost` rounds."""

    cost: int


@dataclass(frozen=True, slots=True)
class Argon2id:
    """What checking an Argon2id hash costs (RFC 9106 section 3.1); memory in KiB."""

    memory: int
    passes: int
    lanes: int


HashKind = Bcrypt | Argon2id

NEW_HASHES = Argon2id(memory=19 * 1024, passes=2, lanes=1)
"""What `new_hash` makes: about 30 ms on one core."""


def hash_kind(password_hash: str) -> HashKind:
    """Return what sort of hash this is and what checking it costs.

    Raises UnusableHash for anything but bcrypt ($2a$, $2b$, $2y$, cost 10 to 16) and Argon2id
    (version 19, at most 256 MiB).
    """
    if match := _BCRYPT.fullmatch(password_hash):
        cost = int(match["cost"])
        if cost not in _BCRYPT_COSTS:
            raise UnusableHash(f"a bcrypt hash has a cost of 10 to 16, this one has {cost}")
        return Bcrypt(cost)
    match = _ARGON2ID.fullmatch(password_hash)
    if match is None or not (_is_base64(match["salt"]) and _is_base64(match["digest"])):
        raise UnusableHash(
            "a password hash is bcrypt ($2a$, $2b$, $2y$) or Argon2id: see idp hash-password"
        )
    kind = Argon2id(int(match["memory"]), int(match["passes"]), int(match["lanes"]))
    if not 8 * kind.lanes <= kind.memory <= _ARGON2ID_MOST_MEMORY:
        raise UnusableHash(
            f"an Argon2id hash takes m=8 for each p, up to m={_ARGON2ID_MOST_MEMORY}; "
            f"this one has m={kind.memory}, p={kind.lanes}"
        )
    return kind


def verify(password: str, password_hash: str) -> None:
    """Return when the password is the one that was hashed; takes 20 ms and more (PasswordHasher).

    Raises BadCredentials when it is not, or can be nobody's: empty, over 1 KiB, with NUL or a lone
    surrogate, over 72 bytes for bcrypt. Raises UnusableHash, and ConnectorUnavailable when there is
    no memory for the check.
    """
    kind = hash_kind(password_hash)
    longest = LONGEST_BCRYPT_PASSWORD if isinstance(kind, Bcrypt) else LONGEST_PASSWORD
    try:
        secret = _encode(password, longest)
    except UnusablePassword as unusable:
        _matches(kind, _PLACEHOLDER, password_hash)
        raise BadCredentials(str(unusable)) from None
    if not _matches(kind, secret, password_hash):
        raise BadCredentials("the password is wrong")


def new_hash(password: str, *, random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return an Argon2id hash of a password. Raises UnusablePassword."""
    hashed = hash_secret(
        _encode(password, LONGEST_PASSWORD),
        random(_RANDOM_SALT),
        time_cost=NEW_HASHES.passes,
        memory_cost=NEW_HASHES.memory,
        parallelism=NEW_HASHES.lanes,
        hash_len=_DIGEST,
        type=Type.ID,
    )
    return hashed.decode("ascii")


def dummy_hash_like(
    hashes: Iterable[str], *, random: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    """Return a hash that no password has, which costs what most of these cost.

    Checking it makes an unknown name cost what a known one costs. People whose hash is of another
    kind stay apart by time; whoever answers gives failures a fixed minimum time for them.
    """
    counted = Counter(hash_kind(password_hash) for password_hash in hashes)
    kind: HashKind = max(counted, key=lambda each: counted[each], default=NEW_HASHES)
    if isinstance(kind, Bcrypt):
        salt, digest = (
            _base64(random(length)).translate(_TO_BCRYPT_BASE64) for length in (_RANDOM_SALT, 23)
        )
        return f"$2b${kind.cost:02}${(salt + digest).decode('ascii')}"
    salt, digest = _base64(random(_RANDOM_SALT)), _base64(random(_DIGEST))
    cost = f"m={kind.memory},t={kind.passes},p={kind.lanes}"
    return f"$argon2id$v=19${cost}${salt.decode('ascii')}${digest.decode('ascii')}"


class PasswordHasher:
    """Runs checks in threads of its own and turns away what would have to wait too long.

    argon2 and bcrypt let go of Python's lock while they work, so `running` threads use as many
    cores. A flood of logins fills this queue and nothing else.
    """

    def __init__(self, *, running: int, waiting: int) -> None:
        """Check at most `running` passwords at a time while at most `waiting` more queue."""
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(running + waiting)

    async def verify(self, password: str, password_hash: str) -> None:
        """Do what `verify` does. Raises ConnectorUnavailable at once when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise ConnectorUnavailable("too many passwords are being checked")
        try:
            check = self._threads.submit(verify, password, password_hash)
        except RuntimeError:
            self._places.release()
            raise ConnectorUnavailable("the server is stopping") from None
        # The place is given back when the thread is done, not when somebody stops waiting for it.
        check.add_done_callback(self._leave)
        await asyncio.wrap_future(check)

    def close(self) -> None:
        """Take no more; what runs or waits is still answered."""
        self._threads.shutdown(wait=False)

    def _leave(self, _: Future[None]) -> None:
        self._places.release()


def _encode(password: str, longest: int) -> bytes:
    try:
        secret = password.encode("utf-8")
    except UnicodeEncodeError:
        raise UnusablePassword("the password has a character that UTF-8 has no form for") from None
    if not secret:
        raise UnusablePassword("the password is empty")
    if len(secret) > longest:
        raise UnusablePassword(f"the password has more than {longest} bytes")
    if b"\0" in secret:
        raise UnusablePassword("the password has a NUL character")
    return secret


def _matches(kind: HashKind, secret: bytes, password_hash: str) -> bool:
    if isinstance(kind, Bcrypt):
        return bcrypt.checkpw(secret, password_hash.encode("ascii"))
    try:
        return verify_secret(password_hash.encode("ascii"), secret, Type.ID)
    except VerifyMismatchError:
        return False
    except Argon2Error as failure:
        raise ConnectorUnavailable(f"the password could not be checked: {failure}") from None


def _is_base64(text: str) -> bool:
    """Tell whether argon2 reads this; it takes no padding and no stray bits at the end."""
    try:
        return _base64(base64.b64decode(text + "=" * (-len(text) % 4))) == text.encode("ascii")
    except binascii.Error:
        return False


def _base64(content: bytes) -> bytes:
    return base64.b64encode(content).rstrip(b"=")

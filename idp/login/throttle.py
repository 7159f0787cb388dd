"""Slows down whoever guesses, in memory and without ever shutting a user out for good.

A try is paid for before it is checked (`reserve`) and given back when it was right, so that a
hundred tries at once get no further than a hundred in a row. These buckets are charged:

- **the account**: a few tries are free, then each one must wait twice as long as the one before.
  What is refused meanwhile costs nothing, so that hammering does not make the wait longer.
- **the account on a known device**, in place of it: whoever guesses elsewhere does not spend the
  tries of a browser that has signed in to this account before. Whether a device is known is proved
  by the caller (a signed cookie), never by the address.
- **whose account it turned out to be**: a directory finds one person by several names. Whoever
  checked a try tells whose it was, and from then on all names of that person are one account.
- **the source** (an IPv4 address or an IPv6 /64): many wrong tries within a minute, whatever the
  account. A known device is not judged by its source, which it may share with whoever guesses.

Each process counts for itself. Its share says how many processes answer for the issuer; each try
here is charged as that many, so that together they let through about what one alone would. Two
things do not divide: every process lets the first try on an account through, and a few failures of
a source.
"""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Self

from idp.clock import Clock
from idp.login.buckets import AccountBucket, Ledger, Pace, Quota, SourceBucket

_ROOM = 4096
"""Buckets of each rank; a throttle that is full takes 4 MB."""

_FEWEST_SOURCE_FAILURES = 3
"""In one process, however many there are; one person's typing error must not stop an office."""


class Throttled(Exception):
    """Too many wrong tries; nothing was checked and nothing was charged."""

    def __init__(self, seconds: float) -> None:
        """Tell how long to wait until a try may be checked again."""
        super().__init__(f"too many wrong tries; the next one may be made in {seconds:.0f} s")
        self.retry_after = timedelta(seconds=seconds)


class AccountThrottled(Throttled):
    """Too many on one account: the answer is the same as to a wrong try."""


class SourceThrottled(Throttled):
    """Too many from one source: the answer is 429 with `Retry-After`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much is let through.

    `free_tries` on an account are checked at once; the next waits `first_delay`, each further one
    twice as long, at most `longest_delay`, in which one try is forgiven. `source_failures` within
    `source_window` stop a source until they are older than that; `source_at_once` of its tries are
    checked at a time. `apart_by_source` gives every source buckets of its own for each account.
    """

    free_tries: int = 5
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(minutes=15)
    source_failures: int = 20
    source_window: timedelta = timedelta(minutes=1)
    source_at_once: int = 100
    apart_by_source: bool = False


PASSWORDS = Policy()
"""Account: the connector's id and `usernames.throttle_name`. Of a burst of guesses 10 pass in the
first minute, 15 in the first quarter of an hour, then 4 an hour."""

CLIENT_SECRETS = Policy(
    free_tries=10,
    longest_delay=timedelta(minutes=1),
    source_failures=120,
    apart_by_source=True,
)
"""Account: the client id. A client has no known device, so guesses from elsewhere are kept apart
from the real client by the source alone. There is deliberately no bucket for all sources, with
which a stranger could stop a client; many sources may try more, but a secret is random, not a word.
Delays are short, because pods with an old and pods with the new secret may share one address."""

REGISTRATIONS = Policy(source_failures=10, source_window=timedelta(minutes=10))
"""No account. Wrong initial access tokens; where none is needed, every registration, right or not:
somebody who registers again and again is what it slows down."""

HANDLES = Policy()
"""No account: for codes, tokens and the like that name nobody we know. The source alone counts."""

ACCOUNT_PAGES = Policy(source_failures=60, source_at_once=3)
"""No account; in place of the source the person. Each look at their own sessions is counted, as it
costs the store a list."""


class Throttle:
    """Decides which tries are checked. One for each policy and process; not for threads."""

    def __init__(self, policy: Policy, *, clock: Clock, share: int) -> None:
        """Start with nothing counted; `share` is replicas times workers, 1 and more."""
        if share < 1:
            raise ValueError(f"the share is the number of replicas times workers, not {share}")
        longest_delay = policy.longest_delay.total_seconds()
        self._pace = Pace(
            free_tries=policy.free_tries,
            weight=share,
            first_delay=policy.first_delay.total_seconds(),
            # Twice the rate of one process in all: nobody waits longer than need be.
            longest_delay=longest_delay * max(1.0, share / 2),
        )
        self._quota = Quota(
            failures=max(_FEWEST_SOURCE_FAILURES, math.ceil(policy.source_failures / share)),
            window=policy.source_window.total_seconds(),
            at_once=policy.source_at_once,
            longest_wait=max(longest_delay, 2 * policy.source_window.total_seconds()),
        )
        self._apart_by_source = policy.apart_by_source
        self._clock = clock
        self._owners: OrderedDict[bytes, str] = OrderedDict()
        self._accounts: Ledger[AccountBucket] = Ledger(
            room=_ROOM, is_heavy=lambda bucket: bucket.charged >= self._pace.free_tries
        )
        self._sources: Ledger[SourceBucket] = Ledger(
            room=_ROOM // 2, is_heavy=lambda bucket: len(bucket.booked) >= self._quota.failures
        )

    def reserve(
        self, *, source: str, account: str | None = None, device: str | None = None
    ) -> "Reservation":
        """Pay for one try, which may then be checked: `with throttle.reserve(...) as attempt:`.

        `source` comes from `client_address.source_of`. `account` names whose secret is tried, in
        one spelling. `device` is given only when it is proved to have signed in to this account.
        Raises SourceThrottled and AccountThrottled.
        """
        now = self._clock().timestamp()
        known = account is not None and device is not None
        source_key = None if known else _key(source)
        tried = None if account is None else self._tried(account, source, device)
        self._check_source(source_key, now)
        self._charge_account(tried, now)
        self._open(source_key)
        return Reservation(self, tried, source_key)

    def _tried(self, account: str, source: str, device: str | None) -> "_Tried":
        owner = self._owners.get(_key(account), account)
        return _Tried(account, owner, source if self._apart_by_source else "", device or "")

    def _check_source(self, key: bytes | None, now: float) -> None:
        bucket = None if key is None else self._sources.find(key)
        if bucket is not None:
            wait = bucket.wait(self._quota, now)
            if wait > 0:
                raise SourceThrottled(wait)

    def _charge_account(self, tried: "_Tried | None", now: float) -> None:
        if tried is None:
            return
        key = tried.key
        bucket = self._accounts.find(key) or AccountBucket()
        wait = bucket.wait(self._pace, now)
        if wait <= 0:
            bucket.charge(self._pace, now)
        # A refused try counts as a use: an account under attack is the last to be forgotten.
        self._accounts.keep(key, bucket)
        if wait > 0:
            raise AccountThrottled(wait)

    def _open(self, key: bytes | None) -> None:
        if key is not None:
            bucket = self._sources.find(key) or SourceBucket()
            bucket.open += 1
            self._sources.keep(key, bucket)

    def _close(self, key: bytes | None) -> None:
        bucket = None if key is None else self._sources.find(key)
        if key is not None and bucket is not None:
            bucket.open = max(0, bucket.open - 1)
            if not bucket.open and not bucket.booked:
                self._sources.drop(key)

    def _fail(self, key: bytes | None) -> None:
        if key is not None:
            bucket = self._sources.find(key) or SourceBucket()
            bucket.fail(self._quota, self._clock().timestamp())
            self._sources.keep(key, bucket)

    def _learn(self, tried: "_Tried | None", owner: str) -> "_Tried | None":
        """Return the try as one on its owner's account, which it is charged to from now on."""
        if tried is None or owner in ("", tried.owner):
            return tried
        name = _key(tried.name)
        self._owners[name] = owner
        self._owners.move_to_end(name)
        if len(self._owners) > _ROOM:
            self._owners.popitem(last=False)
        return replace(tried, owner=owner)

    def _charge_owner(self, tried: "_Tried") -> None:
        """Charge a try that was made already, however long its owner would have to wait."""
        bucket = self._accounts.find(tried.key) or AccountBucket()
        bucket.charge(self._pace, self._clock().timestamp())
        self._accounts.keep(tried.key, bucket)

    def _forget(self, tried: "_Tried | None") -> None:
        if tried is not None:
            self._accounts.drop(tried.key)

    def _refund(self, tried: "_Tried | None") -> None:
        key = None if tried is None else tried.key
        bucket = None if key is None else self._accounts.find(key)
        if key is not None and bucket is not None:
            bucket.refund(self._pace)
            self._accounts.keep(key, bucket)


@dataclass(frozen=True, slots=True)
class _Tried:
    """The account that a try is on, by the name that was given and by whom it belongs to."""

    name: str
    owner: str
    source: str
    device: str

    @property
    def key(self) -> bytes:
        """Return the key of the bucket."""
        return _key(self.owner, self.source, self.device)


class Reservation:
    """One try that is being checked. It is told the outcome once; later ones change nothing.

    Leaving the `with` block untold counts as wrong: whoever hangs up early has still tried.
    `owner` names the account to which the one that was tried belongs, where whoever checked it
    knows: in one spelling, and one that no name can have.
    """

    def __init__(self, throttle: Throttle, tried: _Tried | None, source_key: bytes | None) -> None:
        """Made by `Throttle.reserve` only."""
        self._throttle = throttle
        self._tried = tried
        self._source_key = source_key
        self._is_told = False

    def __enter__(self) -> Self:
        """Begin the check."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the check."""
        self.failed()

    def succeeded(self, owner: str = "") -> None:
        """Tell that the try was right: the account starts afresh, the source keeps its failures."""
        if self._tell():
            self._throttle._forget(self._tried)
            self._throttle._forget(self._throttle._learn(self._tried, owner))

    def failed(self, owner: str = "") -> None:
        """Tell that the try was wrong."""
        if self._tell():
            self._throttle._fail(self._source_key)
            owned = self._throttle._learn(self._tried, owner)
            if owned is not None and owned is not self._tried:
                self._throttle._charge_owner(owned)

    def unknown(self) -> None:
        """Tell that nobody could check the try: it costs nothing."""
        if self._tell():
            self._throttle._refund(self._tried)

    def _tell(self) -> bool:
        if self._is_told:
            return False
        self._is_told = True
        self._throttle._close(self._source_key)
        return True


def _key(*parts: str) -> bytes:
    """Return a short key for a bucket: names, which may be passwords in the wrong field, stay out.

    Each part goes in with its length, so that no two lists of parts meet.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()

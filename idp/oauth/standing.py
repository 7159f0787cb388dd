"""Whether a person may be known to anybody just now: locked, or signed out of everything.

Sign-in, codes, refresh tokens and access tokens all ask the same question of the same value, by the
`sub` of the person. What makes somebody locked is decided elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from idp.clock import epoch_seconds
from idp.oauth.subject import subject


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStanding:
    """What an administrator said of a person. Logins from before `not_before` count no more."""

    locked: bool = False
    not_before: datetime | None = None

    def admits(self, authenticated_at: int) -> bool:
        """Return whether a login counts, by its instant in whole seconds since 1970.

        Everything is judged by what a token knows of it, `auth_time`, so that all say the same.
        """
        if self.locked:
            return False
        return self.not_before is None or authenticated_at >= self.not_before.timestamp()

    def joined(self, other: "UserStanding") -> "UserStanding":
        """Return the stricter of both, for a person of whom two things are said."""
        instants = [at for at in (self.not_before, other.not_before) if at is not None]
        return UserStanding(
            locked=self.locked or other.locked, not_before=max(instants, default=None)
        )


Standings = Mapping[str, UserStanding]
"""People of whom something is said, by `sub`; whoever is not there is in good standing."""

NO_STANDINGS: Standings = MappingProxyType({})
"""For stores that nobody can lock a person in."""


def login_counts(
    standings: Standings, *, user_id: str, connector_id: str, authenticated_at: datetime
) -> bool:
    """Return whether a login may be gone on with, or still be used."""
    if not standings:
        return True
    standing = standings.get(subject(user_id, connector_id))
    return standing is None or standing.admits(epoch_seconds(authenticated_at))


def token_counts(standings: Standings, claims: Mapping[str, object]) -> bool:
    """Return whether an access token may still be used, by its `sub` and `auth_time`.

    A token without `auth_time` is a client's own and knows no login.
    """
    standing = standings.get(str(claims.get("sub")))
    if standing is None:
        return True
    auth_time = claims.get("auth_time")
    return standing.admits(auth_time if isinstance(auth_time, int) else 0)

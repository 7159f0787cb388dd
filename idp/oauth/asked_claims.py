"""The `claims` parameter: what a client asks for by name (OIDC Core section 5.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from idp import strict_json
from idp.oauth.claim_names import may_be_asked
from idp.oauth.errors import InvalidRequest, UnmetAuthenticationRequirements
from idp.oauth.response_types import gives_access_token

LONGEST = 4 * 1024
_MOST_CLAIMS = 64
_MOST_VALUES = 32
_LONGEST_VALUE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedClaims:
    """What was asked for by name, for the ID token and for userinfo.

    `subjects` are those of whom one must have signed in; None is anybody. `acr_values` are the
    authentication contexts that are wanted, the best first; one must be met if `acr_essential`.
    Whether a claim of a person is essential makes no difference: all that is known is told.
    """

    id_token: tuple[str, ...] = ()
    userinfo: tuple[str, ...] = ()
    subjects: tuple[str, ...] | None = None
    acr_values: tuple[str, ...] = ()
    acr_essential: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Return the claims that are asked for, wherever they shall go."""
        return frozenset((*self.id_token, *self.userinfo))

    def is_met_by(self, acr: str) -> bool:
        """Return whether a login of this authentication context will do (section 5.5.1.1)."""
        return not (self.acr_essential and self.acr_values) or acr in self.acr_values

    def limited_to(self, allows: Callable[[str], bool]) -> "AskedClaims":
        """Return the same without the claims that are not allowed."""
        return replace(
            self,
            id_token=tuple(filter(allows, self.id_token)),
            userinfo=tuple(filter(allows, self.userinfo)),
        )

    def admits(self, subject: str) -> bool:
        """Return whether the request lets this person be the one who signs in (section 5.5.1)."""
        return self.subjects is None or subject in self.subjects


NOTHING_ASKED = AskedClaims()


def read_claims(text: str | None, *, acr_served: Sequence[str] = ()) -> AskedClaims:
    """Return what the parameter asks for; claims that tell of no person are left out.

    `acr_served` are the authentication contexts that a login can have here. Raises InvalidRequest,
    and UnmetAuthenticationRequirements where none of them is good enough (section 5.5.1.1).
    """
    if text is None:
        return NOTHING_ASKED
    places = _places(text)
    id_token, userinfo = places["id_token"], places["userinfo"]
    acr = id_token.get("acr") or {}
    asked = AskedClaims(
        id_token=tuple(claim for claim in id_token if may_be_asked(claim)),
        userinfo=tuple(claim for claim in userinfo if may_be_asked(claim)),
        subjects=_subjects(id_token.get("sub"), userinfo.get("sub")),
        acr_values=_values("acr", acr) or (),
        acr_essential=acr.get("essential", False),
    )
    _check_acr(asked, acr_served)
    return asked


def check_places(asked: AskedClaims, response_type: str) -> None:
    """Check that nobody asks for claims at userinfo without a way there. Raises InvalidRequest."""
    if asked.userinfo and not gives_access_token(response_type):
        raise InvalidRequest(
            "claims asks for userinfo, for which this response_type gives no access token."
        )


def _places(text: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the claims of both places; members that nobody specified are ignored."""
    if len(text) > LONGEST:
        raise InvalidRequest(f"claims is longer than {LONGEST} characters.")
    try:
        members = strict_json.parse_object(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InvalidRequest(f"claims cannot be read as a JSON object: {error}.") from None
    if "id_token" not in members and "userinfo" not in members:
        raise InvalidRequest("claims asks for nothing: it needs a member id_token or userinfo.")
    return {place: _claims(place, members.get(place, {})) for place in ("id_token", "userinfo")}


def _claims(place: str, claims: Any) -> Mapping[str, Any]:
    if not isinstance(claims, dict):
        raise InvalidRequest(f"The member {place} of claims must be an object.")
    if len(claims) > _MOST_CLAIMS:
        raise InvalidRequest(f"claims asks for more than {_MOST_CLAIMS} claims.")
    for name, wish in claims.items():
        if wish is not None:
            _check_wish(f"{place}.{name[:80]}", wish)
    return claims


def _check_wish(place: str, wish: Any) -> None:
    """Check what is said of one claim; its own meaning is looked at for `sub` and `acr` only."""
    if not isinstance(wish, dict):
        raise InvalidRequest(f"{place} in claims must be null or an object.")
    if not isinstance(wish.get("essential", False), bool):
        raise InvalidRequest(f"essential of {place} in claims must be true or false.")
    values = wish.get("values", [None])
    if not isinstance(values, list) or not 0 < len(values) <= _MOST_VALUES:
        raise InvalidRequest(
            f"values of {place} in claims must be an array of 1 to {_MOST_VALUES} values."
        )
    if "value" in wish and "values" in wish:
        raise InvalidRequest(f"{place} in claims has both value and values: send one of them.")


def _subjects(*wishes: Any) -> tuple[str, ...] | None:
    """Return the subjects that every place admits, None for anybody."""
    admitted: tuple[str, ...] | None = None
    for wish in wishes:
        values = _values("sub", wish or {})
        if values is not None:
            admitted = values if admitted is None else tuple(s for s in admitted if s in values)
    return admitted


def _values(claim: str, wish: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the values that a claim may have, None for any."""
    values = [wish["value"]] if "value" in wish else wish.get("values")
    if values is None:
        return None
    if not all(isinstance(value, str) and len(value) <= _LONGEST_VALUE for value in values):
        raise InvalidRequest(f"{claim} in claims is asked to be what no {claim} can be.")
    return tuple(values)


def _check_acr(asked: AskedClaims, served: Sequence[str]) -> None:
    if not any(map(asked.is_met_by, ("", *served))):
        raise UnmetAuthenticationRequirements(
            "None of the authentication contexts that claims asks for in acr can be met here."
        )

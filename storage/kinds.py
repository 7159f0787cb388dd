"""The kinds of records: how each is written as columns and body, and read back.

A body carries its version in `v`. Within a version fields are only ever added, each with a default:
an older server keeps what it does not know in `unknown` and writes it back, a newer one fills in
what is missing. A change that an older server must not touch raises the version, and the older
server then refuses the record instead of guessing.

Columns are for people and selectors. Nothing is decided by them: they are not authenticated, so
all that matters is in the body too, and reading a record does not look at them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from storage.base import Unreadable
from storage.fields import (
    Fields,
    column_time,
    write_instant,
    write_instant_if_any,
    write_octets,
)
from storage.persons import person_key
from storage.records import (
    Consent,
    Grant,
    KeyRing,
    RefreshState,
    RegisteredClient,
    Resealing,
    RevokedKey,
    SessionState,
    SigningKey,
    UsedAssertion,
    UserState,
)

VERSION = 1


class Record(Protocol):
    """Anything that a collection can keep."""

    @property
    def name(self) -> str:
        """Return the name, which never changes."""
        ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[R]):
    """One kind of record. `write` and `read` deal with the body without its version and name.

    `blank` makes the record of a document that has no body, where people may write such documents:
    out of its name and columns, and with nothing in it that has to be believed.
    """

    name: str
    columns: Callable[[R], dict[str, str]]
    write: Callable[[R], dict[str, Any]]
    read: Callable[[str, Fields], R]
    blank: Callable[[str, Mapping[str, str]], R] | None = None

    def encode(self, record: R) -> tuple[dict[str, str], dict[str, Any]]:
        """Return columns and body. Raises ValueError for a time without a zone."""
        return self.columns(record), {**self.write(record), "v": VERSION}

    def decode(self, name: str, body: object) -> R:
        """Return the record. Raises Unreadable for another version or a body of another shape."""
        where = f"{self.name}/{name}"
        if not isinstance(body, dict):
            raise Unreadable(f"{where}: the body is not an object")
        version = body.get("v")
        if version != VERSION or type(version) is not int:
            raise Unreadable(
                f"{where}: written in version {version!r} of the format, this server knows"
                f" {VERSION}; run the newer server, or delete the record"
            )
        fields = Fields(body)
        fields.number("v")
        try:
            return self.read(name, fields)
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(f"{where}: bad body: {type(error).__name__} {error}") from error


def _visible(text: str) -> str:
    """Return text as any store can show it: lone surrogates are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _grant_columns(grant: Grant) -> dict[str, str]:
    last_used_at = grant.refresh.last_used_at if grant.refresh else grant.authenticated_at
    return {
        "user": _visible(grant.preferred_username or grant.email or grant.username),
        "client": _visible(grant.client_id),
        "connector": _visible(grant.connector_id),
        "last_used": column_time(last_used_at),
        "expires": column_time(grant.expires_at),
        "ended": "" if grant.ended_at is None else "true",
        "person": person_key(grant.connector_id, grant.user_id),
        **_session_columns(grant),
    }


def _session_columns(grant: Grant) -> dict[str, str]:
    if not grant.session:
        return {}
    state = grant.session_state
    ended = state is not None and state.ended_at is not None
    return {"session": grant.session, "session_ended": "true" if ended else ""}


def _write_grant(grant: Grant) -> dict[str, Any]:
    return {
        **grant.unknown,
        "client_id": grant.client_id,
        "connector_id": grant.connector_id,
        "user_id": grant.user_id,
        "username": grant.username,
        "preferred_username": grant.preferred_username,
        "email": grant.email,
        "email_verified": grant.email_verified,
        "groups": grant.groups,
        "connector_data": grant.connector_data,
        "scopes": grant.scopes,
        "nonce": grant.nonce,
        "redirect_uri": grant.redirect_uri,
        "code_challenge": grant.code_challenge,
        "seed": write_octets(grant.seed),
        "created_at": write_instant(grant.created_at),
        "authenticated_at": write_instant(grant.authenticated_at),
        "code_expires_at": write_instant(grant.code_expires_at),
        "expires_at": write_instant(grant.expires_at),
        "code_spent_at": write_instant_if_any(grant.code_spent_at),
        "refresh": None if grant.refresh is None else _write_refresh(grant.refresh),
        "ended_at": write_instant_if_any(grant.ended_at),
        **_write_session(grant),
        **_write_claims(grant),
    }


def _write_session(grant: Grant) -> dict[str, Any]:
    """Return what only grants have that were made since there are sessions."""
    state = grant.session_state
    fields = {
        "session": grant.session,
        "session_state": None if state is None else _write_session_state(state),
        "acr": grant.acr,
        "amr": grant.amr,
        "device": grant.device,
    }
    return {name: value for name, value in fields.items() if value}


def _write_claims(grant: Grant) -> dict[str, Any]:
    """Return what few grants have: more than the usual to say of a person."""
    fields = {
        "claims": grant.claims,
        "asked_for_id_token": grant.asked_for_id_token,
        "asked_for_userinfo": grant.asked_for_userinfo,
    }
    return {name: value for name, value in fields.items() if value}


def _read_grant(name: str, fields: Fields) -> Grant:
    refresh = fields.object_if_any("refresh")
    session_state = fields.object_if_any("session_state")
    return Grant(
        name=name,
        client_id=fields.text("client_id"),
        connector_id=fields.text("connector_id"),
        user_id=fields.text("user_id"),
        username=fields.text("username"),
        preferred_username=fields.text("preferred_username"),
        email=fields.text("email"),
        email_verified=fields.flag("email_verified"),
        groups=fields.texts("groups"),
        connector_data=fields.text("connector_data"),
        scopes=fields.texts("scopes"),
        nonce=fields.text("nonce"),
        redirect_uri=fields.text("redirect_uri"),
        code_challenge=fields.text("code_challenge"),
        seed=fields.octets("seed"),
        created_at=fields.instant("created_at"),
        authenticated_at=fields.instant("authenticated_at"),
        code_expires_at=fields.instant("code_expires_at"),
        expires_at=fields.instant("expires_at"),
        code_spent_at=fields.instant_if_any("code_spent_at"),
        refresh=None if refresh is None else _read_refresh(refresh),
        ended_at=fields.instant_if_any("ended_at"),
        session=fields.text("session", ""),
        session_state=None if session_state is None else _read_session_state(session_state),
        acr=fields.text("acr", ""),
        amr=fields.texts("amr", []),
        device=fields.text("device", ""),
        claims=fields.named_texts("claims"),
        asked_for_id_token=fields.texts("asked_for_id_token", []),
        asked_for_userinfo=fields.texts("asked_for_userinfo", []),
        unknown=fields.rest(),
    )


def _write_session_state(state: SessionState) -> dict[str, Any]:
    return {
        **state.unknown,
        "authenticated_at": write_instant(state.authenticated_at),
        "ends_at": write_instant(state.ends_at),
        "clients": state.clients,
        "acr": state.acr,
        "amr": state.amr,
        "generation": state.generation,
        "ended_at": write_instant_if_any(state.ended_at),
    }


def _read_session_state(fields: Fields) -> SessionState:
    return SessionState(
        authenticated_at=fields.instant("authenticated_at"),
        ends_at=fields.instant("ends_at"),
        clients=fields.texts("clients"),
        acr=fields.text("acr", ""),
        amr=fields.texts("amr", []),
        generation=fields.number("generation"),
        ended_at=fields.instant_if_any("ended_at"),
        unknown=fields.rest(),
    )


def _write_refresh(refresh: RefreshState) -> dict[str, Any]:
    return {
        **refresh.unknown,
        "generation": refresh.generation,
        "last_used_at": write_instant(refresh.last_used_at),
        "spent": refresh.spent,
        **({} if refresh.ends_at is None else {"ends_at": write_instant(refresh.ends_at)}),
    }


def _read_refresh(fields: Fields) -> RefreshState:
    return RefreshState(
        generation=fields.number("generation"),
        last_used_at=fields.instant("last_used_at"),
        spent=fields.pairs("spent"),
        ends_at=fields.instant_if_any("ends_at"),
        unknown=fields.rest(),
    )


def _ring_columns(ring: KeyRing) -> dict[str, str]:
    signing, announced = _signing(ring), _announced(ring)
    return {
        "signing": ", ".join(key.kid for key in signing),
        "next": ", ".join(key.kid for key in announced),
        "rotates": "" if ring.rotates_at is None else column_time(ring.rotates_at),
        "last_rotation": _last_rotation(ring, signing),
        "keys": "\n".join(_key_line(key, signing) for key in ring.keys),
    }


def _last_rotation(ring: KeyRing, signing: list[SigningKey]) -> str:
    """Return when a key last began to sign, and the request that was answered last."""
    since = max((key.signs_from for key in signing if key.signs_from), default=None)
    text = "" if since is None else column_time(since)
    return f"{text}; answered: {_visible(ring.answered_rotate)}" if ring.answered_rotate else text


def _key_line(key: SigningKey, signing: list[SigningKey]) -> str:
    """Return `KID ALG STATE since T`, with `until T` once that is known."""
    if key.retired_at is not None:
        state, since = "retired", key.retired_at
    elif key in signing and key.signs_from is not None:
        state, since = "signing", key.signs_from
    else:
        state, since = "next", key.created_at
    line = f"{key.kid} {key.alg} {state} since {column_time(since)}"
    return line if key.drops_at is None else f"{line} until {column_time(key.drops_at)}"


def _signing(ring: KeyRing) -> list[SigningKey]:
    """Return the first key of each algorithm that has not retired, if it may sign."""
    first: dict[str, SigningKey] = {}
    for key in ring.keys:
        if key.retired_at is None:
            first.setdefault(key.alg, key)
    return [key for key in first.values() if key.signs_from is not None]


def _announced(ring: KeyRing) -> list[SigningKey]:
    signing = _signing(ring)
    return [key for key in ring.keys if key.retired_at is None and key not in signing]


def _write_ring(ring: KeyRing) -> dict[str, Any]:
    resealing = ring.resealing
    return {
        **ring.unknown,
        "keys": [_write_key(key) for key in ring.keys],
        "revision": ring.revision,
        "rotates_at": write_instant_if_any(ring.rotates_at),
        "revoked": [_write_revoked(key) for key in ring.revoked],
        "answered_rotate": ring.answered_rotate,
        "answered_reseal": ring.answered_reseal,
        "resealing": None if resealing is None else _write_resealing(resealing),
    }


def _read_ring(name: str, fields: Fields) -> KeyRing:
    resealing = fields.object_if_any("resealing")
    return KeyRing(
        name=name,
        keys=tuple(_read_key(key) for key in fields.objects("keys")),
        revision=fields.number("revision", 0),
        rotates_at=fields.instant_if_any("rotates_at"),
        revoked=tuple(_read_revoked(key) for key in fields.objects("revoked", [])),
        answered_rotate=fields.text("answered_rotate", ""),
        answered_reseal=fields.text("answered_reseal", ""),
        resealing=None if resealing is None else _read_resealing(resealing),
        unknown=fields.rest(),
    )


def _write_revoked(key: RevokedKey) -> dict[str, Any]:
    return {**key.unknown, "kid": key.kid, "until": write_instant(key.until)}


def _read_revoked(fields: Fields) -> RevokedKey:
    return RevokedKey(kid=fields.text("kid"), until=fields.instant("until"), unknown=fields.rest())


def _write_resealing(resealing: Resealing) -> dict[str, Any]:
    return {
        **resealing.unknown,
        "request": resealing.request,
        "begun_at": write_instant(resealing.begun_at),
        "clean_at": write_instant_if_any(resealing.clean_at),
    }


def _read_resealing(fields: Fields) -> Resealing:
    return Resealing(
        request=fields.text("request"),
        begun_at=fields.instant("begun_at"),
        clean_at=fields.instant_if_any("clean_at"),
        unknown=fields.rest(),
    )


def _write_key(key: SigningKey) -> dict[str, Any]:
    return {
        **key.unknown,
        "kid": key.kid,
        "alg": key.alg,
        "public_jwk": key.public_jwk,
        "private_jwk": key.private_jwk,
        "created_at": write_instant(key.created_at),
        "signs_from": write_instant_if_any(key.signs_from),
        "retired_at": write_instant_if_any(key.retired_at),
        "drops_at": write_instant_if_any(key.drops_at),
    }


def _read_key(fields: Fields) -> SigningKey:
    return SigningKey(
        kid=fields.text("kid"),
        alg=fields.text("alg"),
        public_jwk=fields.text("public_jwk"),
        private_jwk=fields.text("private_jwk"),
        created_at=fields.instant("created_at"),
        signs_from=fields.instant_if_any("signs_from"),
        retired_at=fields.instant_if_any("retired_at"),
        drops_at=fields.instant_if_any("drops_at"),
        unknown=fields.rest(),
    )


def _assertion_columns(used: UsedAssertion) -> dict[str, str]:
    return {"client": _visible(used.client_id), "expires": column_time(used.expires_at)}


def _write_assertion(used: UsedAssertion) -> dict[str, Any]:
    return {
        **used.unknown,
        "client_id": used.client_id,
        "expires_at": write_instant(used.expires_at),
    }


def _read_assertion(name: str, fields: Fields) -> UsedAssertion:
    return UsedAssertion(
        name=name,
        client_id=fields.text("client_id"),
        expires_at=fields.instant("expires_at"),
        unknown=fields.rest(),
    )


def _user_state_columns(state: UserState) -> dict[str, str]:
    return {
        "connector": _visible(state.connector_id),
        "user_id": _visible(state.user_id),
        "user": _visible(state.user),
    }


def _write_user_state(state: UserState) -> dict[str, Any]:
    return {
        **state.unknown,
        "connector_id": state.connector_id,
        "user_id": state.user_id,
        "user": state.user,
        "consents": [_write_consent(consent) for consent in state.consents],
    }


def _read_user_state(name: str, fields: Fields) -> UserState:
    return UserState(
        name=name,
        connector_id=fields.text("connector_id"),
        user_id=fields.text("user_id"),
        user=fields.text("user", ""),
        consents=tuple(_read_consent(consent) for consent in fields.objects("consents", [])),
        unknown=fields.rest(),
    )


def _blank_user_state(name: str, columns: Mapping[str, str]) -> UserState:
    return UserState(
        name=name,
        connector_id=columns.get("connector", ""),
        user_id=columns.get("user_id", ""),
        user=columns.get("user", ""),
    )


def _write_consent(consent: Consent) -> dict[str, Any]:
    return {
        **consent.unknown,
        "client_id": consent.client_id,
        "scopes": consent.scopes,
        "claims": consent.claims,
        "granted_at": write_instant(consent.granted_at),
    }


def _read_consent(fields: Fields) -> Consent:
    return Consent(
        client_id=fields.text("client_id"),
        scopes=fields.texts("scopes"),
        claims=fields.texts("claims", []),
        granted_at=fields.instant("granted_at"),
        unknown=fields.rest(),
    )


def _client_columns(client: RegisteredClient) -> dict[str, str]:
    said = json.loads(client.metadata)
    return {
        "client_name": _visible(str(said.get("client_name", ""))),
        "auth_method": _visible(str(said.get("token_endpoint_auth_method", ""))),
        "redirect_uris": _visible(" ".join(map(str, said.get("redirect_uris", [])))),
    }


def _write_client(client: RegisteredClient) -> dict[str, Any]:
    return {
        **client.unknown,
        "metadata": client.metadata,
        "secret_hash": write_octets(client.secret_hash),
        "token_hash": write_octets(client.token_hash),
        "issued_at": write_instant(client.issued_at),
    }


def _read_client(name: str, fields: Fields) -> RegisteredClient:
    metadata = fields.text("metadata")
    if not isinstance(json.loads(metadata), dict):
        raise TypeError("metadata is not an object")
    return RegisteredClient(
        name=name,
        metadata=metadata,
        secret_hash=fields.octets("secret_hash"),
        token_hash=fields.octets("token_hash"),
        issued_at=fields.instant("issued_at"),
        unknown=fields.rest(),
    )


GRANTS: Kind[Grant] = Kind(
    name="refresh-grants", columns=_grant_columns, write=_write_grant, read=_read_grant
)
KEY_RINGS: Kind[KeyRing] = Kind(
    name="signing-keys", columns=_ring_columns, write=_write_ring, read=_read_ring
)
USED_ASSERTIONS: Kind[UsedAssertion] = Kind(
    name="used-assertions",
    columns=_assertion_columns,
    write=_write_assertion,
    read=_read_assertion,
)
USER_STATES: Kind[UserState] = Kind(
    name="user-states",
    columns=_user_state_columns,
    write=_write_user_state,
    read=_read_user_state,
    blank=_blank_user_state,
)
REGISTERED_CLIENTS: Kind[RegisteredClient] = Kind(
    name="registered-clients", columns=_client_columns, write=_write_client, read=_read_client
)

"""The account page of people with little, with much, and with names that nobody would like."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from idp.grants.own_logins import FOR_EVER, Overview, OwnLogin, OwnSession
from idp.oauth.client import Client
from idp.web.account_face import AccountFace, AccountFaces
from storage.records import Consent, Grant

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
_PEER = "audience:server:client_id:kubernetes"
_NAMES = {
    "kubernetes": "Kubernetes",
    "grafana": "Grafana",
    "argo-cd": "Argo CD",
    "headlamp": "Headlamp",
}


def account_of_jane() -> AccountFace:
    """Return somebody with a desk, a phone and a command line."""
    desk = _session("desk", "Firefox on Linux", minutes=190)
    phone = _session("phone", "Safari on an iPhone", minutes=1500)
    logins = {
        "desk": (
            _login("grafana", minutes=8, scopes=("openid", "profile", "email", "groups")),
            _login("argo-cd", minutes=150, scopes=("openid", "email", "offline_access"), days=30),
        ),
        "phone": (_login("headlamp", minutes=400, scopes=("openid", "groups", _PEER)),),
    }
    sessions = tuple(replace(each, logins=logins[each.name]) for each in (desk, phone))
    kubectl = _login(
        "kubernetes",
        minutes=2 * 24 * 60,
        scopes=("openid", "groups", "offline_access"),
        days=28,
        device="Chrome on a Mac",
    )
    overview = Overview(sessions=sessions, logins=(kubectl,))
    consents = [
        Consent(
            client_id="headlamp",
            scopes=("profile", "groups", _PEER),
            granted_at=NOW - timedelta(days=3),
        )
    ]
    return _faces(_NAMES).face(_person("Jane Doe"), overview, consents, number=1, now=NOW)


def account_just_begun() -> AccountFace:
    """Return somebody who has signed in for the first time, in a browser that nobody knows."""
    session = _session("desk", "", minutes=0)
    return _faces(_NAMES).face(
        _person("Jane Doe"), Overview(sessions=(session,), logins=()), [], number=1, now=NOW
    )


def crowded_account(names: Sequence[str]) -> AccountFace:
    """Return somebody with thirty sessions and more, where everything has one of the names."""
    clients = {f"client-{number}": name for number, name in enumerate(names)}
    scopes = ("openid", "groups", names[0], "audience:server:client_id:client-3")
    logins = tuple(
        _login(client_id, minutes=number, scopes=scopes, days=number * 1000)
        for number, client_id in enumerate(clients)
    )
    sessions = tuple(
        replace(_session(name, "Edge on Windows", minutes=number), logins=logins)
        for number, name in enumerate(["desk", *(f"session-{each}" for each in range(1, 30))])
    )
    overview = Overview(sessions=sessions, logins=logins, is_whole=False)
    consents = [
        Consent(client_id=each, scopes=scopes, claims=(names[0],), granted_at=NOW - timedelta(400))
        for each in clients
    ]
    person = _person(names[0], email=names[1])
    return _faces(clients).face(person, overview, consents, number=2, now=NOW)


def _faces(names: dict[str, str]) -> AccountFaces:
    clients = {each: Client(id=each, name=name) for each, name in names.items()}
    return AccountFaces(clients=clients, connectors={})


def _person(name: str, email: str = "jane.doe@example.com") -> Grant:
    return Grant(
        name="desk",
        client_id="grafana",
        connector_id="Example directory",
        user_id="u",
        username=name,
        preferred_username="jane",
        email=email,
        email_verified=True,
        groups=(),
        connector_data="",
        scopes=("openid",),
        nonce="",
        redirect_uri="",
        code_challenge="",
        seed=b"",
        created_at=NOW,
        authenticated_at=NOW,
        code_expires_at=NOW,
        expires_at=NOW,
    )


def _session(name: str, device: str, *, minutes: int) -> OwnSession:
    begun_at = NOW - timedelta(minutes=minutes)
    return OwnSession(
        name=name,
        connector_id="Example directory",
        device=device,
        signed_in_at=begun_at,
        last_used_at=begun_at + timedelta(minutes=minutes / 2),
        ends_at=begun_at + timedelta(days=2),
        logins=(),
    )


def _login(
    client_id: str,
    *,
    minutes: int,
    scopes: tuple[str, ...],
    days: int | None = None,
    device: str = "",
) -> OwnLogin:
    used_at = NOW - timedelta(minutes=minutes)
    ends_at = None if days is None else NOW + timedelta(days=days)
    return OwnLogin(
        name=f"login-{client_id}",
        client_id=client_id,
        connector_id="Example directory",
        device=device,
        begun_at=used_at,
        last_used_at=used_at,
        ends_at=FOR_EVER if days == 0 else ends_at,
        scopes=scopes,
        claims=(),
    )

"""Older and newer servers on one store: nobody loses what another wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from storage.base import Backend, Unreadable
from storage.collection import Collection
from storage.fields import Fields
from storage.kinds import GRANTS, KEY_RINGS, Kind
from storage.records import Grant, KeyRing, RefreshState
from tests.kit.storage import AesSealer
from tests.storage.harness import (
    ISSUER,
    KEY,
    NOW,
    Harness,
    grant,
    grants,
    refreshed,
    ring,
    rings,
    signing_key,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewerGrant:
    """A grant of a later server: one more field, shown in one more column."""

    grant: Grant
    posture: str

    @property
    def name(self) -> str:
        """Return the grant's name."""
        return self.grant.name


def _read_newer(name: str, fields: Fields) -> NewerGrant:
    posture = fields.text("posture", "none")
    return NewerGrant(grant=GRANTS.read(name, fields), posture=posture)


NEWER: Kind[NewerGrant] = Kind(
    name=GRANTS.name,
    columns=lambda record: {**GRANTS.columns(record.grant), "posture": record.posture},
    write=lambda record: {**GRANTS.write(record.grant), "posture": record.posture},
    read=_read_newer,
)


def newer(backend: Backend) -> Collection[NewerGrant]:
    """Return the grants as a later server sees them."""
    return Collection(backend=backend, kind=NEWER, sealer=AesSealer(KEY), issuer=ISSUER)


async def put(backend: Backend, kind: str, name: str, body: Mapping[str, Any] | str) -> None:
    """Store a body that some other version of the server sealed."""
    text = body if isinstance(body, str) else json.dumps(body)

    class Verbatim(AesSealer):
        """Seals what it is given by the test, in the context of the collection."""

        def seal(self, purpose: str, plaintext: bytes, *, context: bytes) -> str:
            return AesSealer.seal(self, purpose, text.encode(), context=context)

    foreign = Kind(
        name=kind, columns=lambda _: {}, write=lambda _: {}, read=lambda name, _: ring(name=name)
    )
    sealer = Verbatim(KEY)
    await Collection(backend=backend, kind=foreign, sealer=sealer, issuer=ISSUER).create(
        ring(name=name)
    )


def body_of(record: Grant) -> dict[str, Any]:
    """Return a grant's body as it is sealed today."""
    _, body = GRANTS.encode(record)
    loaded: dict[str, Any] = json.loads(json.dumps(body))
    return loaded


async def test_what_an_older_server_does_not_know_survives_its_update(harness: Harness) -> None:
    async with harness.open() as backend:
        await newer(backend).create(NewerGrant(grant=grant(), posture="s1"))
        old = await grants(backend).get("g1")
        assert old.record.unknown == {"posture": "s1"}
        assert replace(old.record, unknown={}) == grant()
        await grants(backend).update(old, refreshed)
        stored = await newer(backend).get("g1")
    assert stored.record.posture == "s1"
    assert stored.record.grant == refreshed(grant())
    # A store whose columns are fixed by a schema may not show a newer one yet.
    assert stored.columns.get("posture", "s1") == "s1"


async def test_a_newer_server_fills_in_what_an_older_one_left_out(harness: Harness) -> None:
    async with harness.open() as backend:
        await grants(backend).create(grant())
        stored = await newer(backend).get("g1")
        assert stored.record == NewerGrant(grant=grant(), posture="none")
        await newer(backend).update(stored, lambda record: replace(record, posture="s2"))
        assert (await grants(backend).get("g1")).record == grant(unknown={"posture": "s2"})


async def test_unknown_fields_survive_at_every_level(harness: Harness) -> None:
    odd = {"a": None, "b": [], "c": {}, "d": [1, 2.5, True, "日本"], "e": {"f": {"g": ""}}}
    record = grant(
        refresh=RefreshState(generation=1, last_used_at=NOW, unknown=odd), unknown={"x": odd}
    )
    keys = KeyRing(name="ring", keys=(signing_key(unknown=odd), signing_key("k2")), unknown=odd)
    async with harness.open() as backend:
        await grants(backend).create(record)
        await rings(backend).create(keys)
        assert (await grants(backend).get("g1")).record == record
        assert (await rings(backend).get("ring")).record == keys
        updated = await grants(backend).update(await grants(backend).get("g1"), refreshed)
        assert updated.record.refresh
        assert updated.record.refresh.unknown == odd


async def test_missing_fields_take_their_defaults(harness: Harness) -> None:
    body = body_of(grant())
    for optional in ("code_spent_at", "refresh", "ended_at"):
        del body[optional]
    async with harness.open() as backend:
        await put(backend, GRANTS.name, "g1", body)
        assert (await grants(backend).get("g1")).record == grant()


@pytest.mark.parametrize(
    "body",
    [
        {**body_of(grant()), "v": 2},
        {**body_of(grant()), "v": "1"},
        {**body_of(grant()), "v": True},
        {key: value for key, value in body_of(grant()).items() if key != "v"},
        {key: value for key, value in body_of(grant()).items() if key != "seed"},
        {**body_of(grant()), "seed": "canary!"},
        {**body_of(grant()), "groups": "canary"},
        {**body_of(grant()), "groups": [1]},
        {**body_of(grant()), "email_verified": "canary"},
        {**body_of(grant()), "client_id": None},
        {**body_of(grant()), "expires_at": "canary"},
        {**body_of(grant()), "expires_at": "2026-01-01T00:00:00"},
        {**body_of(grant()), "expires_at": 1},
        {**body_of(grant()), "code_spent_at": 1},
        {**body_of(grant()), "refresh": []},
        {**body_of(grant()), "refresh": {}},
        {**body_of(grant()), "refresh": {"generation": True, "last_used_at": NOW.isoformat()}},
        {
            **body_of(grant()),
            "refresh": {"generation": 1, "last_used_at": NOW.isoformat(), "spent": [[1, 2, 3]]},
        },
        "[]",
        "null",
        "canary",
        "",
    ],
)
async def test_a_body_of_another_version_or_shape_is_unreadable(
    harness: Harness, body: dict[str, Any] | str
) -> None:
    async with harness.open() as backend:
        await put(backend, GRANTS.name, "g1", body)
        with pytest.raises(Unreadable, match="refresh-grants/g1") as caught:
            await grants(backend).get("g1")
    assert "canary" not in str(caught.value)


async def test_a_key_ring_of_another_shape_is_unreadable(harness: Harness) -> None:
    shapes: list[Any] = [None, {}, [1], [{}], [{"kid": "k"}]]
    async with harness.open() as backend:
        for number, keys in enumerate(shapes):
            await put(backend, KEY_RINGS.name, f"r{number}", {"v": 1, "keys": keys})
            with pytest.raises(Unreadable):
                await rings(backend).get(f"r{number}")

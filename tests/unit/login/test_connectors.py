"""The connectors of this moment: their order, and going through them while they change."""

import pytest

from idp.login.connectors import ConnectorGone, LiveConnectors, OfferedConnector, offered
from tests.kit.connectors import ScriptedPasswordConnector


def an_offer(connector_id: str, name: str = "") -> OfferedConnector:
    return OfferedConnector(
        id=connector_id,
        name=name or connector_id.title(),
        type="ldap",
        connector=ScriptedPasswordConnector(),
    )


def test_the_file_goes_first_then_objects_by_id_and_local_users_are_last() -> None:
    live = LiveConnectors([an_offer("z"), an_offer("y")], local=an_offer("local"))
    live.replace(gone=[], came=[an_offer("c"), an_offer("a")])
    live.replace(gone=[], came=[an_offer("b")])
    assert list(live) == ["z", "y", "a", "b", "c", "local"]
    assert len(live) == 6


def test_what_is_withdrawn_is_not_found_any_more() -> None:
    live = LiveConnectors([an_offer("z")])
    live.replace(gone=[], came=[an_offer("a")])
    assert live.connector("a") is live["a"].connector
    live.replace(gone=["a"], came=[])
    assert "a" not in live
    assert live.get("a") is None
    assert live.connector("a") is None
    with pytest.raises(ConnectorGone):
        offered(live, "a")
    assert offered(live, "z") is live["z"]


def test_a_changed_connector_takes_the_place_of_the_former_in_one_step() -> None:
    live = LiveConnectors(())
    live.replace(gone=[], came=[an_offer("a", "Old")])
    live.replace(gone=["a"], came=[an_offer("a", "New")])
    assert [each.name for each in live.values()] == ["New"]


def test_objects_withdraw_nothing_of_the_file() -> None:
    live = LiveConnectors([an_offer("z")], local=an_offer("local"))
    live.replace(gone=["z", "local"], came=[])
    assert list(live) == ["z", "local"]


def test_a_change_does_not_disturb_whoever_goes_through_them() -> None:
    live = LiveConnectors(())
    live.replace(gone=[], came=[an_offer("a"), an_offer("b")])
    seen = []
    for connector_id in live:
        seen.append(connector_id)
        live.replace(gone=["a", "b"], came=[an_offer("c")])
    assert seen == ["a", "b"]

"""Events: what they say, and how few there are."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from storage.kubernetes.object_events import Allowance, EventRate, event_body
from storage.objects import ObjectEvent, WrittenObject

CLIENT = WrittenObject(
    kind="oidc-clients",
    name="argo",
    uid="8f6d",
    generation=3,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    spec={},
    version="77",
)
MISSING = ObjectEvent(type="Warning", reason="SecretMissing", note="Secret argo does not exist")


class Seconds:
    """A monotonic clock that is turned by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def body_of(written: WrittenObject = CLIENT, event: ObjectEvent = MISSING) -> Mapping[str, Any]:
    return event_body(
        written,
        event,
        owner={
            "apiVersion": "kube-idp.dev/v1beta1",
            "kind": "OIDCClient",
            "name": written.name,
            "uid": written.uid,
        },
        namespace="idp",
        instance="pod-1",
        at=datetime(2026, 1, 1, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
    )


def name_of(written: WrittenObject = CLIENT, event: ObjectEvent = MISSING) -> str:
    name = body_of(written, event)["metadata"]["name"]
    assert isinstance(name, str)
    return name


def test_the_event_names_the_object_as_describe_looks_for_it() -> None:
    body = body_of()
    assert body["involvedObject"] == {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "namespace": "idp",
        "name": "argo",
        "uid": "8f6d",
        "resourceVersion": "77",
    }
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2026-01-01T12:00:00Z"
    assert body["reportingComponent"] == "kube-idp"


def test_two_replicas_tell_the_same_change_under_one_name() -> None:
    assert name_of() == name_of(replace(CLIENT))


@pytest.mark.parametrize(
    ("written", "event"),
    [
        (replace(CLIENT, uid="9a"), MISSING),
        (replace(CLIENT, version="78"), MISSING),
        (CLIENT, replace(MISSING, reason="Other")),
        (CLIENT, replace(MISSING, note="Secret argo has no entry")),
        (CLIENT, replace(MISSING, type="Normal")),
    ],
)
def test_another_change_has_another_name(written: WrittenObject, event: ObjectEvent) -> None:
    assert name_of(written, event) != name_of()


def test_a_name_of_the_greatest_length_still_makes_the_name_of_an_event() -> None:
    long = ".".join(["a" * 62] * 4) + "x"
    name = name_of(replace(CLIENT, name=long[:236] + "-" * 10 + "z"))
    assert len(name) <= 253
    assert "-." not in name


@pytest.mark.covers("R-63")
def test_a_note_is_one_printable_line_of_bounded_length() -> None:
    note = "bad\r\nWarning  Forged\x1b[2J\u202e " + "x" * 2000
    message = body_of(event=replace(MISSING, note=note))["message"]
    assert message.isprintable()
    assert len(message) == 1024
    assert message.endswith("...")


def test_lone_surrogates_in_a_note_do_no_harm() -> None:
    assert body_of(event=replace(MISSING, note="\ud800"))["message"] == " "


def test_of_one_object_and_reason_few_events_are_told() -> None:
    seconds = Seconds()
    rate = EventRate(seconds, Allowance(burst=3, every=60))
    assert [rate.allows(CLIENT, MISSING) for _ in range(5)] == [True, True, True, False, False]
    assert rate.allows(CLIENT, replace(MISSING, reason="Ready"))
    assert rate.allows(replace(CLIENT, uid="9a"), MISSING)
    seconds.now += 60
    assert [rate.allows(CLIENT, MISSING) for _ in range(2)] == [True, False]
    seconds.now += 600
    assert [rate.allows(CLIENT, MISSING) for _ in range(4)] == [True, True, True, False]


def test_a_flood_of_objects_does_not_fill_the_memory() -> None:
    rate = EventRate(Seconds(), Allowance(remembered=10))
    for number in range(1000):
        assert rate.allows(replace(CLIENT, uid=str(number)), MISSING)
    assert len(rate) == 10

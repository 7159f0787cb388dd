"""Objects as the API server writes them, and the patches that answer them."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.kubernetes.object_json import UnusableMetadata, is_going, merge_patch, read_object

METADATA = {
    "name": "argo",
    "uid": "8f6d",
    "generation": 3,
    "creationTimestamp": "2026-01-01T12:00:00Z",
    "resourceVersion": "77",
    "annotations": {"a": "b"},
}


def document(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {**METADATA, **metadata}, "spec": {"clientID": "argo"}}


def test_every_part_is_read() -> None:
    written = read_object("oidc-clients", {**document(), "status": {"observedGeneration": 2}})
    assert written.kind == "oidc-clients"
    assert written.name == "argo"
    assert written.uid == "8f6d"
    assert written.generation == 3
    assert written.created_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert written.spec == {"clientID": "argo"}
    assert written.status == {"observedGeneration": 2}
    assert written.annotations == {"a": "b"}
    assert written.version == "77"


@pytest.mark.parametrize("spec", [None, [], "text", 5, True])
def test_a_spec_of_another_type_counts_as_empty(spec: object) -> None:
    odd = {"metadata": METADATA, "spec": spec, "status": spec}
    written = read_object("local-users", odd)
    assert written.spec == {}
    assert written.status == {}


def test_what_a_spec_holds_is_not_in_the_text_of_the_object() -> None:
    assert "clientID" not in repr(read_object("local-users", document()))


@pytest.mark.parametrize("field", ["name", "uid", "resourceVersion", "creationTimestamp"])
@pytest.mark.parametrize("value", [None, "", 7, {}, []])
def test_metadata_that_is_not_usable_is_named(field: str, value: object) -> None:
    with pytest.raises(UnusableMetadata, match=f"metadata.{field}"):
        read_object("oidc-clients", document(**{field: value}))


@pytest.mark.parametrize("value", ["yesterday", "2026-01-01T12:00:00", "2026-13-01T12:00:00Z"])
def test_a_time_that_is_none_is_named(value: str) -> None:
    with pytest.raises(UnusableMetadata, match=r"metadata\.creationTimestamp"):
        read_object("oidc-clients", document(creationTimestamp=value))


def test_a_generation_that_is_no_number_is_named() -> None:
    with pytest.raises(UnusableMetadata, match=r"metadata\.generation"):
        read_object("oidc-clients", document(generation="3"))


def test_annotations_that_are_no_texts_are_left_out() -> None:
    assert read_object("oidc-clients", document(annotations=[1])).annotations == {}
    written = read_object("oidc-clients", document(annotations={"a": 1, "b": "c"}))
    assert written.annotations == {"b": "c"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(whole=JSON)
def test_any_json_is_read_or_refused_in_our_own_words(whole: object) -> None:
    for odd in ({"metadata": whole}, {"metadata": METADATA, "spec": whole, "status": whole}):
        with contextlib.suppress(UnusableMetadata):
            read_object("oidc-clients", odd)
        is_going(odd)


def test_an_object_that_waits_for_a_finalizer_is_going() -> None:
    assert is_going(document(deletionTimestamp="2026-01-02T00:00:00Z"))
    assert not is_going(document())


OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@given(old=OBJECTS, new=OBJECTS)
@example(old={"a": {"b": 1, "c": 2}}, new={"a": {"b": 1}})
@example(old={"a": 1}, new={"a": True})
def test_a_merge_patch_turns_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    old = without_nulls(old)  # what a server keeps has none
    assert apply(merge_patch(old, new), old) == without_nulls(new)


def test_what_does_not_change_is_not_in_a_patch() -> None:
    status = {"observedGeneration": 4, "conditions": [{"type": "Ready", "status": "True"}]}
    assert merge_patch(status, status) == {}


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: without_nulls(inner) if isinstance(inner, Mapping) else inner
        for name, inner in value.items()
        if inner is not None
    }


def apply(patch: object, target: object) -> Any:
    """Apply a patch as RFC 7396 section 2 writes it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = apply(value, merged.get(name))
    return merged

"""From plain values to a section, with pydantic's findings told in our words."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from idp.settings.draft import Draft
from idp.settings.problems import KeyPath, nearest
from idp.settings.section import Section
from idp.settings.substitution import NAMED_BY

S = TypeVar("S", bound=Section)

_EXPECTED = {
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}


def validated(draft: Draft, model: type[S], value: Any, place: KeyPath) -> S | None:
    """Return the section, or None after noting in the draft what is wrong with it."""
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        # The error itself holds the values, secrets included: it must not travel further.
        findings = error.errors(include_url=False)
    for finding in findings:
        # A default made from another field fails with that field, which is told already.
        if finding["type"] != "default_factory_not_called":
            path: KeyPath = (*place, *finding["loc"])
            draft.refuse(path, _explained(draft, model, finding, path))
    return None


def _explained(draft: Draft, model: type[Section], finding: ErrorDetails, path: KeyPath) -> str:
    kind, value, location = finding["type"], finding["input"], finding["loc"]
    if kind == "extra_forbidden":
        return _about_unknown_key(section_at(model, location[:-1]), path)
    if kind == "missing":
        field = dict(fields_of(section_at(model, location[:-1])))[str(location[-1])]
        return f"is required: {field.description or 'it has no default'}"
    subject = draft.subject(path, value)
    if kind == "value_error":
        return f"{subject} {finding['ctx']['error']}"
    if kind == "literal_error":
        words = str(finding["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        hint = nearest(str(value), words.split(", ")) if isinstance(value, str) else ""
        return f"{subject} is not one of {words}{hint}"
    return f"{_EXPECTED.get(kind, 'is not as expected')}{_but_is(value)}"


def _about_unknown_key(section: type[Section], path: KeyPath) -> str:
    key = str(path[-1])
    if key in section.unserved:
        return f"`{key}` is a key of Dex that kube-idp does not serve yet; remove it"
    known = [name for name, _ in fields_of(section)]
    known += NAMED_BY.get(str(path[0]), {}) if len(path) == 3 else []
    return f"unknown key{nearest(key, known)}"


def _but_is(value: Any) -> str:
    if value is None:
        return ", but is empty"
    if isinstance(value, bool):
        return ", but is true or false; put it in quotes"
    if isinstance(value, Mapping):
        return ", but is a mapping of keys"
    if isinstance(value, tuple):
        return ", but is a list"
    return ", but is a single value"


def section_at(model: type[Section], location: tuple[int | str, ...]) -> type[Section]:
    for step in location:
        if isinstance(step, str):
            annotation = dict(fields_of(model))[step].annotation
            model = next(sections_in(annotation), Section)
    return model


def fields_of(model: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    for field in model.model_fields.values():
        yield str(field.alias), field


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from sections_in(part)

"""From the `spec.ldap` of an object to the same checked keys that a configuration file has.

The rules and sentences are those of the file. Fields that are not known are left out, as everywhere
in objects: they may be of a later version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.settings.document import fit_text
from idp.settings.draft import Draft
from idp.settings.ldap import LdapObject
from idp.settings.ldap_rules import check_directory, doubts_about
from idp.settings.problems import KeyPath, written
from idp.settings.section import Section
from idp.settings.validation import fields_of, sections_in, validated

PLACE: KeyPath = ("spec", "ldap")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDirectory:
    """What was found under `spec.ldap`. Every problem and doubt is a sentence."""

    directory: LdapObject | None
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def read_directory(fields: object) -> ReadDirectory:
    """Return the directory that an object describes, or everything that is wrong with it."""
    draft = Draft()
    draft.value = {"spec": {"ldap": _known(draft, LdapObject, fields, PLACE)}}
    check_directory(draft, PLACE, passwords=("bindPWRef",))
    directory = validated(draft, LdapObject, draft.value["spec"]["ldap"], PLACE)
    problems = tuple(f"{each.path} {each.message}." for each in draft.problems())
    if directory is None or problems:
        return ReadDirectory(directory=None, problems=problems)
    doubts = tuple(
        f"{written((*PLACE, *finding.path))} {finding.message}."
        for finding in doubts_about(directory)
    )
    return ReadDirectory(directory=directory, doubts=doubts)


def _known(draft: Draft, model: type[Section], value: Any, place: KeyPath) -> Any:
    """Return what the model knows of a mapping, in the form that a file has."""
    if not isinstance(value, Mapping):
        return value
    known: dict[str, Any] = {}
    for key, field in fields_of(model):
        found = value.get(key)
        if found in (None, ""):
            continue
        below = next(sections_in(field.annotation), None)
        known[key] = _plain(draft, below, found, (*place, key))
    return known


def _plain(draft: Draft, model: type[Section] | None, value: Any, place: KeyPath) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(draft, model, item, (*place, i)) for i, item in enumerate(value))
    if isinstance(value, Mapping):
        if model is not None:
            return _known(draft, model, value, place)
        return {key: _plain(draft, None, item, (*place, key)) for key, item in value.items()}
    return _text(draft, value, place) if isinstance(value, str) else value


def _text(draft: Draft, text: str, place: KeyPath) -> str:
    try:
        return fit_text(text)
    except ValueError as error:
        draft.settle(place, f"the value {error}")
        return ""

"""From a file to settings: read, substitute, check everything, answer once."""

from collections.abc import Mapping
from pathlib import Path

from idp.settings.document import read_document
from idp.settings.doubts import warn_of_doubts
from idp.settings.draft import Draft, mapping_at, sequence_at
from idp.settings.model import Settings
from idp.settings.places import (
    CONNECTOR_TYPES,
    STORAGE_TYPES,
    UNSERVED_CONNECTORS,
    UNSERVED_SIGNERS,
    UNSERVED_STORAGE,
    MemoryStorage,
)
from idp.settings.problems import ConfigurationInvalid, KeyPath, Problem, nearest
from idp.settings.protocol import LocalSigner
from idp.settings.rules import check_rules
from idp.settings.section import Section
from idp.settings.substitution import Sources, read_text, substitute
from idp.settings.validation import validated

ConnectorTypes = Mapping[str, type[Section]]
"""The model of the `config` block of every connector type that is served."""


def load(
    path: str | Path,
    *,
    environ: Mapping[str, str],
    connector_types: ConnectorTypes = CONNECTOR_TYPES,
) -> Settings:
    """Return the settings in a YAML or JSON file. Raises ConfigurationInvalid.

    Files that it refers to with `${file:…}` are relative to its own directory.
    """
    try:
        text = read_text(Path(path))
    except ValueError as error:
        name = str(path).encode("utf-8", "backslashreplace").decode()
        problem = Problem(path="", line=0, message=f"the file `{name}` cannot be used: {error}")
        raise ConfigurationInvalid([problem]) from None
    directory = Path(path).parent
    return parse(text, environ=environ, directory=directory, connector_types=connector_types)


def parse(
    text: str,
    *,
    environ: Mapping[str, str],
    directory: Path,
    connector_types: ConnectorTypes = CONNECTOR_TYPES,
) -> Settings:
    """Return the settings in a YAML or JSON text. Raises ConfigurationInvalid."""
    draft = read_document(text)
    substitute(draft, Sources(environ=environ, directory=directory))
    check_rules(draft)
    _read_configs(draft, connector_types)
    settings = validated(draft, Settings, draft.value, ())
    if settings is None or draft.refusals:
        raise ConfigurationInvalid(draft.problems())
    warn_of_doubts(draft, settings)
    return settings.with_warnings(draft.warnings())


def _read_configs(draft: Draft, connector_types: ConnectorTypes) -> None:
    """Replace each `config` block by the model that its neighbour `type` asks for."""
    _read_config(draft, ("storage",), STORAGE_TYPES, UNSERVED_STORAGE, MemoryStorage())
    _read_config(draft, ("signer",), {"local": LocalSigner}, UNSERVED_SIGNERS, LocalSigner())
    for i, _ in enumerate(sequence_at(draft.value, "connectors")):
        _read_config(draft, ("connectors", i), connector_types, UNSERVED_CONNECTORS, Section())


def _read_config(
    draft: Draft,
    place: KeyPath,
    types: ConnectorTypes,
    unserved: frozenset[str],
    placeholder: Section,
) -> None:
    section = mapping_at(draft.value, *place)
    kind = section.get("type", "local" if place == ("signer",) else None)
    if not section or not isinstance(kind, str):
        section["config"] = placeholder
    elif kind in types:
        config = validated(draft, types[kind], section.get("config", {}), (*place, "config"))
        section["config"] = config or placeholder
    else:
        section["config"] = placeholder
        draft.refuse((*place, "type"), _about_type(draft, (*place, "type"), kind, types, unserved))


def _about_type(
    draft: Draft, path: KeyPath, kind: str, types: ConnectorTypes, unserved: frozenset[str]
) -> str:
    subject = draft.subject(path, kind)
    served = f"; served are {', '.join(sorted(types))}"
    if kind in unserved:
        return f"{subject} is a type of Dex that kube-idp does not serve yet{served}"
    return f"{subject} is not a known type{nearest(kind, types) or served}"

"""Values, their schema, their table in the README and the provider's own keys belong together."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from idp import __version__
from idp.settings import Settings
from tests.kit.chart_readme import CHART, documented, leaves, with_table

VALUES = (CHART / "values.yaml").read_text()
SCHEMA: Mapping[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def test_crds_of_the_chart_are_those_of_the_provider() -> None:
    """Mend with `cp storage/kubernetes/crds/*.yaml charts/idp/crd-files/`."""
    origin = CHART.parents[1] / "storage" / "kubernetes" / "crds"

    assert _contents(CHART / "crd-files") == _contents(origin)


def test_readme_shows_the_values() -> None:
    """Mend with `python -m tests.kit.chart_readme`."""
    readme = (CHART / "README.md").read_text()

    assert readme == with_table(readme, VALUES)


def test_every_value_is_explained() -> None:
    explained = {row.path for row in documented(VALUES)}

    bare = [
        ".".join(path)
        for path in leaves(yaml.safe_load(VALUES))
        if not any(path[:depth] in explained for depth in range(1, len(path) + 1))
    ]
    assert bare == []


def test_schema_has_the_keys_of_the_values_and_no_others() -> None:
    assert _keys(SCHEMA["properties"]) - {"global"} == set(yaml.safe_load(VALUES))
    for path, section in _closed_sections(SCHEMA, ()):
        values = yaml.safe_load(VALUES)
        for key in path:
            values = values[key]
        if path not in {(), ("config",)}:
            assert _keys(section["properties"]) == set(values), path


def test_schema_has_the_keys_of_the_configuration() -> None:
    keys = {str(field.alias) for field in Settings.model_fields.values()}

    assert _keys(SCHEMA["properties"]["config"]["properties"]) == keys


def test_schema_says_what_the_defaults_are() -> None:
    """Only what somebody could write is described: each default is of its type."""
    kinds = {"boolean": bool, "integer": int, "string": str, "array": list, "object": dict}
    values = yaml.safe_load(VALUES)
    for key, described in SCHEMA["properties"].items():
        if isinstance(described.get("type"), str) and key in values:
            assert isinstance(values[key], kinds[described["type"]]), key


def test_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__


def _contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.glob("*.yaml")}


def _keys(properties: Mapping[str, object]) -> set[str]:
    return set(properties)


def _closed_sections(
    schema: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the sections that list all their keys, outside of lists."""
    if schema.get("additionalProperties") is False:
        yield path, schema
        for key, described in schema["properties"].items():
            yield from _closed_sections(described, (*path, key))

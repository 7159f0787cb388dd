"""From text to plain values, remembering the line of each: YAML (or JSON) read narrowly.

Only `true`, `false` and plain whole numbers are more than text, so that `0123`, `1e3`, `2026-11-21`
and `no` stay what was typed. Aliases are followed, within limits; tags and merge keys are refused.
"""

import re
from typing import Any

import yaml

from idp.settings.draft import Draft
from idp.settings.problems import ConfigurationInvalid, KeyPath, Problem

DEEPEST = 32
"""Levels of nesting; a real file has six."""

MOST_VALUES = 100_000
"""Values after aliases have been followed: a small file can stand for billions of them."""

_TAG = "tag:yaml.org,2002:"
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LONG_QUOTE = re.compile(r"'[^']{3,}'|\"[^\"]{3,}\"")
_LEADING_SPACE = re.compile(r"^[ \t]+", re.MULTILINE)
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class _TooMuch(Exception):
    """Nesting or aliases beyond what a configuration can mean."""


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, which would otherwise recurse as deep as the file says."""

    depth = 0
    count = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.count += 1
        if self.count > 2 * MOST_VALUES:  # keys are nodes too
            raise _TooMuch(f"the file holds more than {MOST_VALUES} values")
        if self.depth > DEEPEST:
            raise _TooMuch(f"the file nests more than {DEEPEST} levels deep")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_document(text: str) -> Draft:
    """Return the values of a file. Raises ConfigurationInvalid when it cannot be read at all.

    What is wrong in single places (a key given twice, a tag) is noted in the draft.
    """
    node = _compose(text)
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"):
        raise _unreadable(1, "the file is empty; it needs at least `issuer`, `storage` and `web`")
    if not isinstance(node, yaml.MappingNode):
        raise _unreadable(
            node.start_mark.line + 1, "the file must be a mapping of keys, such as `issuer: …`"
        )
    draft = Draft()
    try:
        value = _Builder(draft).build(node, ())
    except _TooMuch as error:
        raise _unreadable(1, str(error)) from None
    draft.value = value if isinstance(value, dict) else {}
    return draft


def fit_text(text: str) -> str:
    """Return text with escaped surrogate pairs joined.

    Raises ValueError for control characters and half characters, which no value can mean.
    """
    joined = text
    if not text.isascii():
        try:
            joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise ValueError("contains half a surrogate pair, which is no character") from None
    if _UNFIT.search(joined):
        raise ValueError("contains a control character")
    return joined


def _compose(text: str) -> yaml.Node | None:
    if text.lstrip().startswith("{"):  # JSON may be indented with tabs, YAML may not
        text = _LEADING_SPACE.sub(lambda found: " " * len(found[0]), text)
    try:
        return yaml.compose(text, Loader=_Loader)  # nodes only; nothing is constructed
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _unreadable(line, "the file contains a control character") from None
    except yaml.MarkedYAMLError as error:
        raise _unreadable(_line(error), _syntax(error)) from None
    except _TooMuch as error:
        raise _unreadable(1, str(error)) from None
    except (yaml.YAMLError, ValueError, OverflowError, IndexError):
        # PyYAML lets some slip: an escape beyond Unicode is chr()'s ValueError.
        raise _unreadable(1, "the file is not valid YAML") from None


def _line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be parsed"
    if "undefined alias" in problem:
        return "not valid YAML: a value that begins with `*` is an alias; put it in quotes"
    if "second occurrence" in problem:
        return "not valid YAML: this anchor (`&name`) was given before; choose another name"
    if "'\\t'" in problem:
        return "not valid YAML: a tab stands where only spaces may; indent with spaces"
    # What PyYAML quotes may be part of a secret; only single characters are passed on.
    text = f"not valid YAML: {_LONG_QUOTE.sub('…', problem)}"
    if "mapping values are not allowed" in problem:
        text += "; put values that contain `: ` in quotes and check the indentation"
    return text


def _unreadable(line: int, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Problem(path="", line=line, message=message)])


def _key(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return fit_text(node.value)
    except ValueError:
        return None


class _Builder:
    """Turns YAML nodes into plain values, noting lines and oddities in the draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._values = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            raise _TooMuch(f"the file holds more than {MOST_VALUES} values, aliases followed")
        if len(path) > DEEPEST:
            raise _TooMuch(f"the file nests more than {DEEPEST} levels deep, aliases followed")
        self._draft.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return tuple(self.build(item, (*path, i)) for i, item in enumerate(node.value))
        if isinstance(node, yaml.ScalarNode) and node.tag.startswith(_TAG):
            return self._scalar(node, path)
        return self._refused(path, "a value that begins with `!` is a YAML tag; put it in quotes")

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        built: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _key(key_node)
            if key is None:
                self._draft.refuse(path, f"the key in line {line} is not plain text")
            elif key_node.tag == f"{_TAG}merge":
                self._draft.lines[(*path, key)] = line
                self._refused((*path, key), "merge keys are not read; write the keys out")
            elif key in first:
                self._draft.refuse(
                    (*path, key), f"this key is given again in line {line}; keep one of them"
                )
            else:
                first[key] = line
                self._draft.lines[(*path, key)] = line
                built[key] = self.build(value_node, (*path, key))
        return built

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind = node.tag.removeprefix(_TAG)
        text: str = node.value
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind == "int" and _WHOLE_NUMBER.fullmatch(text):
            return int(text)
        if kind not in {"str", "int", "float", "bool", "timestamp", "value"}:
            return self._refused(path, "this YAML tag is not read; write the value as text")
        try:
            return fit_text(text)
        except ValueError as error:
            return self._refused(path, f"the value {error}")

    def _refused(self, path: KeyPath, message: str) -> None:
        self._draft.settle(path, message)

"""`${env:NAME}` and `${file:PATH}` in values, and keys such as `secretEnv` that name a variable.

Everything else with a dollar sign stays as it is: bcrypt hashes are full of them. Dex instead
expands `$NAME` and `${NAME}`, inside `config` blocks only; there a warning says so.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idp.settings.document import fit_text
from idp.settings.draft import Draft, value_at
from idp.settings.problems import KeyPath

MOST_BYTES = 1024 * 1024
"""Of the configuration file, and of each file that it refers to."""

NAMED_BY = {
    "staticClients": {
        "idEnv": "id",
        "secretEnv": "secret",
        "previousSecretEnv": "previousSecret",
    },
    "staticPasswords": {"hashFromEnv": "hash"},
}
"""Keys of list items that name an environment variable holding the value of another key."""

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)(\}?)")
_DEX_REFERENCE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where referenced values come from. Relative files are looked up in `directory`."""

    environ: Mapping[str, str]
    directory: Path

    def variable(self, name: str) -> str:
        """Return a variable's value. Raises ValueError."""
        value = self.environ.get(name)
        if value is not None:
            return value
        # What is no name at all may be a secret that was put in the wrong place.
        shown = f" `{name}`" if _VARIABLE.fullmatch(name) else ""
        raise ValueError(f"the environment variable{shown} is not set")

    def file(self, name: str) -> str:
        """Return a file's text without its last line break. Raises ValueError."""
        if not name:
            raise ValueError("`${file:}` names no file")
        try:
            text = read_text(self.directory / name)
        except ValueError as error:
            shown = f" `{name}`" if name.isprintable() else ""
            raise ValueError(f"the file{shown} cannot be used: {error}") from None
        return text.removesuffix("\n").removesuffix("\r")

    def expand(self, text: str) -> str:
        """Return text with its references replaced, once: results are not expanded again.

        Raises ValueError.
        """
        return _REFERENCE.sub(self._referenced, text)

    def _referenced(self, found: re.Match[str]) -> str:
        if not found[3]:
            raise ValueError(f"`${{{found[1]}:` is not closed by a `}}`")
        return self.variable(found[2]) if found[1] == "env" else self.file(found[2])


def read_text(path: Path) -> str:
    """Return the text of a small UTF-8 file.

    Raises ValueError saying what is wrong with it, without naming it.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from None
    if len(content) > MOST_BYTES:
        raise ValueError("it is larger than 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8 text (line {line})") from None


def substitute(draft: Draft, sources: Sources) -> None:
    """Replace all references in a draft and drop what is null or empty, as Dex does.

    A list keeps its empty items, for the models to refuse.
    """
    value = _Walk(draft, sources).walk(draft.value, ())
    draft.value = value if isinstance(value, dict) else {}
    for section, named in NAMED_BY.items():
        items = draft.value.get(section)
        for i, item in enumerate(items if isinstance(items, tuple) else ()):
            if isinstance(item, dict):
                for key, target in named.items():
                    _take_variable(draft, sources, (section, i), item, key, target)
    _require_variable(draft, sources, ("storage", "config", "keyEnv"))


@dataclass(frozen=True, slots=True)
class _Walk:
    draft: Draft
    sources: Sources

    def walk(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            walked = {key: self.walk(item, (*path, key)) for key, item in value.items()}
            return {
                key: item
                for key, item in walked.items()
                if (item is not None and item != "") or (*path, key) in self.draft.settled
            }
        if isinstance(value, tuple):
            return tuple(self.walk(item, (*path, i)) for i, item in enumerate(value))
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, value: str, path: KeyPath) -> str:
        if "config" in path and _DEX_REFERENCE.search(value):
            self.draft.warn(
                path, "Dex expands `$NAME` here, kube-idp does not; write `${env:NAME}`"
            )
        if not _REFERENCE.search(value):
            return value
        self.draft.hidden.add(path)
        return _obtained(self.draft, path, lambda: self.sources.expand(value))


def _take_variable(
    draft: Draft, sources: Sources, place: KeyPath, item: dict[str, Any], key: str, target: str
) -> None:
    if key not in item:
        return
    name = item.pop(key)
    if target in item:
        draft.refuse((*place, key), f"give `{target}` or `{key}`, not both")
        return
    path = (*place, target)
    draft.origins[path] = (*place, key)
    draft.hidden.add(path)
    if not isinstance(name, str):
        draft.settle(path, "must be the name of an environment variable")
        item[target] = ""
        return
    item[target] = _obtained(draft, path, lambda: sources.variable(name))
    if item[target] == "":
        draft.settle(path, f"the environment variable `{name}` is empty")


def _require_variable(draft: Draft, sources: Sources, path: KeyPath) -> None:
    """Refuse the name of a variable that is not set. Its value is read later, where it is used."""
    name = value_at(draft.value, *path)
    if not isinstance(name, str):
        return
    if not _VARIABLE.fullmatch(name):
        # It may be the key itself, put in the wrong place: not to be shown.
        draft.settle(path, "must be the name of an environment variable")
    elif not sources.environ.get(name):
        draft.settle(path, f"the environment variable `{name}` is not set, or empty")


def _obtained(draft: Draft, path: KeyPath, obtain: Callable[[], str]) -> str:
    try:
        text = obtain()
    except ValueError as error:
        draft.settle(path, str(error))
        return ""
    try:
        return fit_text(text)
    except ValueError as error:
        draft.settle(path, f"the value {error}")
        return ""

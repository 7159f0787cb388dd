"""Where the text of sealing keys comes from: the port, and the sources that are no store.

The text may change while the server runs. `replace` is conditional, so that of two writers one
wins and nobody's key is lost; a source that only people may change is not `writable`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from idp.keys.key_file import KeyFileError, read_text, render, replace_text, text_version
from idp.keys.seal import SECRET_LENGTH, SealingKey
from storage.base import NotFound


@dataclass(frozen=True, slots=True)
class KeyText:
    """The text of `key_file`, and the version to replace."""

    text: str = field(repr=False)
    version: str = field(repr=False)


class KeySource(Protocol):
    """A place that sealing keys are kept in. Both calls raise KeyFileError and StorageError."""

    @property
    def where(self) -> str:
        """Return what errors call it."""
        ...

    @property
    def writable(self) -> bool:
        """Return whether the server may change it."""
        ...

    async def read(self) -> KeyText:
        """Return the text as it is now."""
        ...

    async def replace(self, text: str, version: str) -> None:
        """Store the text over exactly this version. Raises Conflict."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A key file.

    One that the server has made itself it may change; one that was mounted it may not: that is a
    link, another's, or in a directory that is closed to us.
    """

    path: Path
    random: Callable[[int], bytes]

    @property
    def where(self) -> str:
        """Return what errors call it."""
        return f"sealing key file {self.path}"

    @property
    def writable(self) -> bool:
        """Return whether it is ours and can be exchanged."""
        try:
            status = self.path.lstat()
        except OSError:
            return False
        ours = not self.path.is_symlink() and status.st_uid == os.geteuid()
        return ours and bool(status.st_mode & 0o200) and os.access(self.path.parent, os.W_OK)

    async def read(self) -> KeyText:
        """Return the text as it is now."""
        text = await asyncio.to_thread(read_text, self.path)
        return KeyText(text, text_version(text))

    async def replace(self, text: str, version: str) -> None:
        """Exchange the file if it still has this version."""
        if not self.writable:
            raise _not_ours(self.where)
        await asyncio.to_thread(replace_text, self.path, text, version=version, random=self.random)


@dataclass(frozen=True, slots=True)
class FixedSource:
    """A text that never changes, as from the environment."""

    text: str = field(repr=False)
    where: str
    writable: bool = field(default=False, init=False)

    async def read(self) -> KeyText:
        """Return the text."""
        return KeyText(self.text, "")

    async def replace(self, text: str, version: str) -> None:
        """Refuse."""
        raise _not_ours(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSource:
    """A text that a store keeps, such as a Secret, read and replaced by two callables."""

    where: str
    reading: Callable[[], Awaitable[tuple[str, str]]]
    replacing: Callable[[str, str], Awaitable[None]]
    writable: bool = field(default=True, init=False)

    async def read(self) -> KeyText:
        """Return the text as it is now. Raises NotFound."""
        text, version = await self.reading()
        return KeyText(text, version)

    async def replace(self, text: str, version: str) -> None:
        """Store the text over exactly this version."""
        await self.replacing(text, version)


async def read_or_create(
    source: KeySource,
    create_if_absent: Callable[[str], Awaitable[None]],
    random: Callable[[int], bytes],
) -> KeyText:
    """Return the text of a source, which is given a first key if it has none.

    `create_if_absent` stores a text unless there is one; whichever stands is returned, so replicas
    that start at once agree. Raises StorageError.
    """
    try:
        return await source.read()
    except NotFound:
        await create_if_absent(render([SealingKey(random(SECRET_LENGTH))]))
        return await source.read()


def _not_ours(where: str) -> KeyFileError:
    return KeyFileError(f"{where}: the server may not change it; change it by hand")

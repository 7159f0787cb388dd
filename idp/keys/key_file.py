"""The file of sealing keys: one `id key` line each, the first seals, all open.

It holds what opens every stored session, so it is refused unless only its owner can read it.
To replace a key: add the new one below, wait until every replica has read it, move it to the top,
and remove the old one when nothing sealed with it is left.
"""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from idp.keys import base64url
from idp.keys.seal import SECRET_LENGTH, SealingKey

_COMMENT = "# Sealing keys: the first seals, all open. Without them every stored login is lost.\n"
_MAX_LENGTH = 64 * 1024


class KeyFileError(Exception):
    """The file cannot be used; says which, where in it and what to do, never what is in it."""


def load_or_create(path: Path, random: Callable[[int], bytes]) -> tuple[SealingKey, ...]:
    """Return the keys of the file, which is made if it is not there.

    Of several processes that start at once one makes the file and all return its key. Raises
    KeyFileError.
    """
    if not path.exists():
        _create(path, [SealingKey(random(SECRET_LENGTH))])
    return load(path)


def load(path: Path) -> tuple[SealingKey, ...]:
    """Return the keys of a file of mode 0600. Raises KeyFileError."""
    try:
        # Without O_NONBLOCK a named pipe in its place would stop the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(f"sealing key file {path}: {error.strerror}") from None
    try:
        _check_rights(path, os.fstat(descriptor))
        data = os.read(descriptor, _MAX_LENGTH + 1)
    finally:
        os.close(descriptor)
    return parse(data.decode("utf-8", "replace"), where=f"sealing key file {path}")


def parse(text: str, *, where: str) -> tuple[SealingKey, ...]:
    """Read the form of the file from any source; `where` begins each error.

    Raises KeyFileError with the number of the line.
    """
    if len(text) > _MAX_LENGTH:
        raise KeyFileError(f"{where}: is longer than {_MAX_LENGTH} bytes, so it is something else")
    keys: dict[str, SealingKey] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            key = _key(content, f"{where}, line {number}")
            if key.id in keys:
                raise KeyFileError(f"{where}, line {number}: repeats a key. Remove the line")
            keys[key.id] = key
    if not keys:
        raise KeyFileError(
            f"{where}: holds no key. Restore it from a backup; if nothing was stored yet, remove it"
        )
    return tuple(keys.values())


def render(keys: Sequence[SealingKey]) -> str:
    """Return the text of a file with these keys."""
    return _COMMENT + "".join(f"{key.id} {base64url.encode(key.secret)}\n" for key in keys)


def _check_rights(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"sealing key file {path}: is not a regular file")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(
            f"sealing key file {path}: its mode {mode:04o} gives rights to others than its"
            f" owner. Run: chmod 600 {path}"
        )


def _key(content: str, where: str) -> SealingKey:
    remedy = "Restore the line from a backup, or remove it if nothing is sealed with it"
    words = content.split()
    if len(words) != 2:
        raise KeyFileError(f"{where}: is not an id and a key with a space between. {remedy}")
    try:
        key = SealingKey(base64url.decode(words[1]))
    except ValueError:
        raise KeyFileError(
            f"{where}: the key is not {SECRET_LENGTH} bytes of base64url. {remedy}"
        ) from None
    if key.id != words[0]:
        raise KeyFileError(f"{where}: the id does not belong to the key. {remedy}")
    return key


def _create(path: Path, keys: Sequence[SealingKey]) -> None:
    # Written beside and linked into place, so nobody ever reads half a file and the first one wins.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{keys[0].id}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(render(keys))
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)
        finally:
            draft.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KeyFileError(
            f"sealing key file {path}: cannot be made ({error.strerror})."
            f" Make {path.parent} a directory that the server may write to"
        ) from None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

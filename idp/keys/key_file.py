"""The text of sealing keys, and the file that it may be kept in.

One line for each key: `id key`, or `id key 2026-11-21T10:00:00Z` for one that seals from an instant
on. All open; the one with the latest instant that has come seals, and before any has, the first.
To replace a key, add a line for the new one with an instant some minutes ahead, and remove the old
line when nothing that was sealed with it is left; `idp keys reseal` does all that.

The text opens every stored session, so a file is refused unless only those read it who must.
"""

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from idp.keys import base64url
from idp.keys.seal import SECRET_LENGTH, SealingKey
from storage.base import Conflict

_COMMENT = "# Sealing keys: all open, the latest begun seals. Without them all logins are lost.\n"
_MAX_LENGTH = 64 * 1024
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class KeyFileError(Exception):
    """The keys cannot be used; says which, where in them and what to do, never what they are."""


def load_or_create(path: Path, random: Callable[[int], bytes]) -> tuple[SealingKey, ...]:
    """Return the keys of the file, which is made if it is not there.

    Of several processes that start at once one makes the file and all return its key. Raises
    KeyFileError.
    """
    if not path.exists():
        _create(path, render([SealingKey(random(SECRET_LENGTH))]), random)
    return load(path)


def load(path: Path) -> tuple[SealingKey, ...]:
    """Return the keys of a file that only those can read who must. Raises KeyFileError."""
    return parse(read_text(path), where=_where(path))


def read_text(path: Path) -> str:
    """Return the text of a file that only those can read who must. Raises KeyFileError."""
    try:
        # Without O_NONBLOCK a named pipe in its place would stop the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            check_rights(path, os.fstat(descriptor), groups={os.getegid(), *os.getgroups()})
            data = os.read(descriptor, _MAX_LENGTH + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyFileError(f"{_where(path)}: {error.strerror}") from None
    return data.decode("utf-8", "replace")


def replace_text(path: Path, text: str, *, version: str, random: Callable[[int], bytes]) -> None:
    """Put another text in the place of the one with that version, at once or not at all.

    Raises Conflict if the file has another version by now, and KeyFileError.
    """
    try:
        with _locked(path.parent):
            if text_version(read_text(path)) != version:
                raise Conflict(f"{_where(path)}: was changed since it was read")
            draft = _draft(path, text, random)
            try:
                draft.replace(path)
            except OSError:
                draft.unlink()
                raise
            _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"{_where(path)}: cannot be replaced ({error.strerror}). Make {path.parent} a directory"
            " that the server may write to, or change the file by hand"
        ) from None


def text_version(text: str) -> str:
    """Return what tells one text of keys from another."""
    return hashlib.sha256(text.encode()).hexdigest()


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
    """Return the text with these keys. Without instants older servers can read it as well."""
    return _COMMENT + "".join(_line(key) for key in keys)


def with_key(text: str, key: SealingKey) -> str:
    """Return a text with a line more; the others, and comments, stay as they are."""
    return f"{text.rstrip()}\n{_line(key)}"


def without_keys(text: str, ids: Collection[str]) -> str:
    """Return a text without the lines of these keys."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if (line.split() or [""])[0] not in ids)


def check_rights(path: Path, status: os.stat_result, *, groups: Collection[int]) -> None:
    """Refuse a file that others than the server can read. Raises KeyFileError.

    Beside mode 0600 or less, root may have given it to root's group or to one of ours (`groups`),
    for reading only: so a Secret is mounted with `defaultMode: 0440` and the pod's `fsGroup`.
    """
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{_where(path)}: is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o037:
        raise KeyFileError(
            f"{_where(path)}: its mode {mode:04o} gives rights to others than its owner."
            f" Run: chmod 600 {path} (a mounted Secret: defaultMode 0440 and the pod's fsGroup)"
        )
    if mode & 0o040 and (status.st_uid != 0 or status.st_gid not in {0, *groups}):
        raise KeyFileError(
            f"{_where(path)}: its mode {mode:04o} lets a group read it, which is accepted only of a"
            " file of root's whose group is root or one of the server's, as a Secret is mounted"
            f" with fsGroup. Run: chmod 600 {path}"
        )


def _where(path: Path) -> str:
    return f"sealing key file {path}"


def _line(key: SealingKey) -> str:
    start = f"{key.id} {base64url.encode(key.secret)}"
    if key.seals_from is None:
        return f"{start}\n"
    return f"{start} {key.seals_from.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"


def _key(content: str, where: str) -> SealingKey:
    remedy = "Restore the line from a backup, or remove it if nothing is sealed with it"
    words = content.split()
    if len(words) not in (2, 3):
        raise KeyFileError(f"{where}: is not an id, a key and at most a time. {remedy}")
    try:
        key = SealingKey(base64url.decode(words[1]), seals_from=_instant(words[2:], where))
    except ValueError:
        raise KeyFileError(
            f"{where}: the key is not {SECRET_LENGTH} bytes of base64url. {remedy}"
        ) from None
    if key.id != words[0]:
        raise KeyFileError(f"{where}: the id does not belong to the key. {remedy}")
    return key


def _instant(words: Sequence[str], where: str) -> datetime | None:
    if not words:
        return None
    try:
        if _INSTANT.fullmatch(words[0]) is None:
            raise ValueError
        return datetime.fromisoformat(words[0])
    except ValueError:
        raise KeyFileError(
            f"{where}: the time after the key is not of the form 2026-11-21T10:00:00Z. Mend it, or"
            " restore the line from a backup"
        ) from None


def _create(path: Path, text: str, random: Callable[[int], bytes]) -> None:
    # Written beside and linked into place, so nobody ever reads half a file and the first one wins.
    try:
        draft = _draft(path, text, random)
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KeyFileError(
            f"{_where(path)}: cannot be made ({error.strerror})."
            f" Make {path.parent} a directory that the server may write to"
        ) from None


def _draft(path: Path, text: str, random: Callable[[int], bytes]) -> Path:
    draft = path.with_name(f".{path.name}.{random(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        draft.unlink()
        raise
    return draft


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes of ours from changing files of the directory meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The sealing key file: made once, read strictly, never shown."""

import os
import secrets
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idp.keys.key_file import (
    KeyFileError,
    check_rights,
    load,
    load_or_create,
    parse,
    read_text,
    render,
    replace_text,
    text_version,
    with_key,
    without_keys,
)
from idp.keys.seal import SealingKey
from storage.base import Conflict

KEY = SealingKey(b"k" * 32)
OTHER = SealingKey(b"o" * 32)
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_it_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    first = load_or_create(path, secrets.token_bytes)
    assert load_or_create(path, secrets.token_bytes) == first == load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("# ")
    assert os.listdir(tmp_path) == ["sealing.key"]


def test_a_wide_umask_gives_no_rights_away(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "key", secrets.token_bytes)
    finally:
        os.umask(before)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_processes_that_race_get_one_key(tmp_path: Path) -> None:
    code = (
        "import sys, secrets; from pathlib import Path\n"
        "from idp.keys.key_file import load_or_create\n"
        "sys.stdin.read(1)\n"
        "print(load_or_create(Path(sys.argv[1]), secrets.token_bytes)[0].id)"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "key")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ids = set()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("x")
        racer.stdin.flush()
    for racer in racers:
        answer, _ = racer.communicate(timeout=30)
        ids.add(answer.strip())
    assert ids == {load(tmp_path / "key")[0].id}
    assert os.listdir(tmp_path) == ["key"]


def test_whoever_is_second_takes_the_key_of_the_first(tmp_path: Path) -> None:
    def slow_random(count: int) -> bytes:
        write(tmp_path / "key", render([KEY]))
        return b"s" * count

    assert load_or_create(tmp_path / "key", slow_random) == (KEY,)
    assert os.listdir(tmp_path) == ["key"]


def test_the_order_of_the_file_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "\n" + render([OTHER, KEY]) + "\n  # the end")
    assert load(path) == (OTHER, KEY)


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o620, 0o601, 0o777])
def test_rights_of_others_are_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "key", render([KEY]), mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}") as caught:
        load_or_create(path, secrets.token_bytes)
    assert f"{mode:04o}" in str(caught.value)


SERVER, GROUP, SOMEBODY = 10001, 10001, 4711


def status(mode: int, *, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [
        (0o600, SERVER, GROUP),
        (0o400, SERVER, GROUP),
        (0o400, 0, 0),
        (0o440, 0, GROUP),  # a Secret mounted with defaultMode 0440 and fsGroup
        (0o640, 0, GROUP),
        (0o440, 0, 0),
        (0o700, SERVER, GROUP),
    ],
)
def test_the_owner_alone_or_root_s_group_or_ours_may_read(mode: int, uid: int, gid: int) -> None:
    check_rights(Path("/key"), status(mode, uid=uid, gid=gid), groups={GROUP})


@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [
        (0o640, SERVER, GROUP),  # many people may share the server's group, and it can do better
        (0o440, 0, SOMEBODY),
        (0o440, SOMEBODY, GROUP),
        (0o660, 0, GROUP),
        (0o450, 0, GROUP),
        (0o444, 0, GROUP),
        (0o404, 0, 0),
        (0o602, SERVER, GROUP),
        (0o601, SERVER, GROUP),
    ],
)
def test_any_other_right_is_refused(mode: int, uid: int, gid: int) -> None:
    with pytest.raises(KeyFileError, match="fsGroup") as caught:
        check_rights(Path("/key"), status(mode, uid=uid, gid=gid), groups={GROUP})
    assert "chmod 600 /key" in str(caught.value)
    assert f"{mode:04o}" in str(caught.value)


BAD_LINES = {
    "no space": KEY.id + "x" * 40,
    "four words": f"{render([KEY]).splitlines()[1]} 2026-11-21T10:00:00Z later",
    "no time": f"{render([KEY]).splitlines()[1]} tomorrow",
    "no such time": f"{render([KEY]).splitlines()[1]} 2026-13-21T10:00:00Z",
    "another zone": f"{render([KEY]).splitlines()[1]} 2026-11-21T10:00:00+01:00",
    "other digits": f"{render([KEY]).splitlines()[1]} ٢026-11-21T10:00:00Z",
    "an id alone": KEY.id,
    "a short key": f"{KEY.id} AAAA",
    "a cut key": render([KEY]).splitlines()[1][:-1],
    "a padded key": render([KEY]).splitlines()[1] + "=",
    "another id": f"{OTHER.id} {render([KEY]).split()[-1]}",
    "not base64url": f"{KEY.id} {'!' * 43}",
    "NUL bytes": "\0" * 100,
    "not UTF-8": "\udcff\udcff \udcff",
    "YAML": "key: SECRETSECRET",
}


@pytest.mark.covers("R-90")
@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_named_by_number_and_never_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "key"
    path.write_bytes((render([OTHER]) + line + "\n").encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="line 3") as caught:
        load(path)
    message = str(caught.value)
    assert "backup" in message
    assert all(word not in message for word in line.split())


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(KeyFileError, match="there, line 4: repeats"):
        parse(render([KEY, OTHER, KEY]), where="there")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyFileError, match="holds no key"):
        load_or_create(write(tmp_path / "key", text), secrets.token_bytes)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(KeyFileError, match="not a regular file"):
            load_or_create(path, secrets.token_bytes)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "A" * 100_000)
    with pytest.raises(KeyFileError, match="longer than"):
        load(path)


def test_a_missing_or_closed_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="directory that the server may write"):
        load_or_create(tmp_path / "absent" / "key", secrets.token_bytes)
    with pytest.raises(KeyFileError, match="No such file"):
        load(tmp_path / "absent")


def test_a_link_to_a_mounted_file_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "real", render([KEY]))
    (tmp_path / "key").symlink_to("real")
    assert load_or_create(tmp_path / "key", secrets.token_bytes) == (KEY,)


def test_a_time_is_read_and_written() -> None:
    timed = replace(KEY, seals_from=AT)
    text = render([OTHER, timed])
    assert text.endswith(f"{KEY.id} {'a2tr' * 10}a2s 2026-11-21T10:00:00Z\n")
    assert parse(text, where="there") == (OTHER, timed)


def test_a_text_without_times_is_as_older_servers_wrote_and_read_it() -> None:
    lines = render([KEY, OTHER]).splitlines()
    assert lines[0].startswith("#")
    assert [len(line.split()) for line in lines[1:]] == [2, 2]


def test_lines_come_and_go_and_the_rest_stays() -> None:
    text = f"# mine\n{render([KEY]).splitlines()[1]}  \n\n# the end"
    more = with_key(text, replace(OTHER, seals_from=AT))
    assert parse(more, where="there") == (KEY, replace(OTHER, seals_from=AT))
    assert more.startswith(text)
    less = without_keys(more, [KEY.id])
    assert parse(less, where="there") == (replace(OTHER, seals_from=AT),)
    assert less.startswith("# mine\n\n# the end\n")


def test_a_file_is_replaced_whole_if_it_is_still_the_one_that_was_read(tmp_path: Path) -> None:
    path = write(tmp_path / "key", render([KEY]))
    version = text_version(read_text(path))
    replace_text(path, render([KEY, OTHER]), version=version, random=secrets.token_bytes)
    assert load(path) == (KEY, OTHER)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict):
        replace_text(path, render([KEY]), version=version, random=secrets.token_bytes)
    assert load(path) == (KEY, OTHER)
    assert os.listdir(tmp_path) == ["key"]


def test_of_processes_that_replace_at_once_one_wins(tmp_path: Path) -> None:
    path = write(tmp_path / "key", render([KEY]))
    code = (
        "import sys, secrets; from pathlib import Path\n"
        "from idp.keys.key_file import read_text, replace_text, text_version, with_key\n"
        "from idp.keys.seal import SealingKey\n"
        "from storage.base import Conflict\n"
        "path = Path(sys.argv[1]); text = read_text(path); print(flush=True); sys.stdin.read(1)\n"
        "try:\n"
        "    new = with_key(text, SealingKey(secrets.token_bytes(32)))\n"
        "    replace_text(path, new, version=text_version(text), random=secrets.token_bytes)\n"
        "    print('won')\n"
        "except Conflict: print('lost')\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("x")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=30)[0].strip() for racer in racers]
    assert sorted(answers) == ["lost", "lost", "lost", "won"]
    assert len(load(path)) == 2
    assert os.listdir(tmp_path) == ["key"]


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        replace_text(tmp_path / "key", "", version="", random=secrets.token_bytes)
    with pytest.raises(KeyFileError, match=r"cannot be replaced .* by hand"):
        replace_text(tmp_path / "no" / "key", "", version="", random=secrets.token_bytes)
    # A draft of that name is there already: nothing is left half done.
    path = write(tmp_path / "key", render([KEY]))
    write(tmp_path / f".key.{'00' * 8}", "")
    version = text_version(render([KEY]))
    with pytest.raises(KeyFileError, match="cannot be replaced"):
        replace_text(path, render([OTHER]), version=version, random=bytes)
    assert load(path) == (KEY,)


def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "key", render([KEY]))
    version = text_version(render([KEY]))
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "\ud800", version=version, random=secrets.token_bytes)
    assert (load(path), os.listdir(tmp_path)) == ((KEY,), ["key"])

    def in_the_way(length: int) -> bytes:
        path.unlink()
        (path / "full").mkdir(parents=True)
        return bytes(length)

    with pytest.raises(KeyFileError, match="cannot be replaced"):
        replace_text(path, render([OTHER]), version=version, random=in_the_way)
    assert os.listdir(tmp_path) == ["key"]


def test_notes_in_any_language_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "# Schlüssel 日本\n" + render([KEY]))
    text = read_text(path)
    replace_text(
        path, with_key(text, OTHER), version=text_version(text), random=secrets.token_bytes
    )
    assert read_text(path).startswith("# Schlüssel 日本\n")
    assert load(path) == (KEY, OTHER)

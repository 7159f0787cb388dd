"""The sealing key file: made once, read strictly, never shown."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from idp.keys.key_file import KeyFileError, load, load_or_create, parse, render
from idp.keys.seal import SealingKey

KEY = SealingKey(b"k" * 32)
OTHER = SealingKey(b"o" * 32)


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


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601, 0o777])
def test_rights_of_others_are_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "key", render([KEY]), mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}") as caught:
        load_or_create(path, secrets.token_bytes)
    assert f"{mode:04o}" in str(caught.value)


BAD_LINES = {
    "no space": KEY.id + "x" * 40,
    "three words": f"{KEY.id} {'A' * 43} x",
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

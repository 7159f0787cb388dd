"""Sources of sealing keys: a file, a fixed text, and one that a store keeps."""

import os
import secrets
from pathlib import Path

import pytest

from idp.keys.key_file import KeyFileError, load, parse, render
from idp.keys.key_source import FileSource, FixedSource, KeySource, StoredSource, read_or_create
from idp.keys.seal import SealingKey
from storage.base import Conflict, NotFound, StorageUnavailable

pytestmark = pytest.mark.anyio
KEY = SealingKey(b"k" * 32)
OTHER = SealingKey(b"o" * 32)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def key_file(directory: Path) -> Path:
    path = directory / "key"
    path.write_text(render([KEY]))
    path.chmod(0o600)
    return path


async def test_a_file_of_ours_is_read_and_replaced(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    source: KeySource = FileSource(path, secrets.token_bytes)
    assert source.writable
    found = await source.read()
    await source.replace(render([KEY, OTHER]), found.version)
    assert load(path) == (KEY, OTHER)
    with pytest.raises(Conflict, match=str(path)):
        await source.replace(render([OTHER]), found.version)


async def test_a_mounted_file_is_only_read(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    key_file(tmp_path / "..data")
    linked = tmp_path / "key"
    linked.symlink_to("..data/key")
    read_only = key_file(tmp_path / "..data")
    read_only.chmod(0o400)
    for path in (linked, read_only, tmp_path / "absent"):
        source = FileSource(path, secrets.token_bytes)
        assert not source.writable
        with pytest.raises(KeyFileError, match="by hand"):
            await source.replace(render([OTHER]), "")
    assert parse((await FileSource(linked, secrets.token_bytes).read()).text, where="") == (KEY,)


async def test_a_file_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "key", secrets.token_bytes)
    with pytest.raises(KeyFileError, match="No such file"):
        await source.read()
    assert os.listdir(tmp_path) == []


@pytest.mark.covers("R-90")
async def test_a_fixed_text_stays_and_is_not_shown() -> None:
    source: KeySource = FixedSource(render([KEY]), "the variable KEYS")
    text = render([KEY]).split()[-1]
    found = await source.read()
    assert parse(found.text, where="") == (KEY,)
    assert text not in repr(source) + repr(found)
    assert not source.writable
    with pytest.raises(KeyFileError, match=r"KEYS.*by hand"):
        await source.replace("", "")


class Secret:
    """What a store keeps, as `storage.kubernetes.sealing_secret` does."""

    def __init__(self) -> None:
        self.text = ""
        self.version = 0

    async def read(self) -> tuple[str, str]:
        if not self.text:
            raise NotFound("the Secret is not there")
        return self.text, str(self.version)

    async def create_if_absent(self, text: str) -> None:
        if not self.text:
            self.text = text

    async def replace(self, text: str, version: str) -> None:
        if version != str(self.version):
            raise Conflict("changed")
        self.text, self.version = text, self.version + 1


async def test_a_store_s_text_is_made_once_read_and_replaced() -> None:
    secret = Secret()
    source: KeySource = StoredSource(
        where="Secret idp/keys", reading=secret.read, replacing=secret.replace
    )
    assert source.writable
    first = await read_or_create(source, secret.create_if_absent, secrets.token_bytes)
    assert len(parse(first.text, where="")) == 1
    assert await read_or_create(source, secret.create_if_absent, secrets.token_bytes) == first
    await source.replace(render([KEY]), first.version)
    with pytest.raises(Conflict):
        await source.replace(render([OTHER]), first.version)


async def test_whoever_is_second_takes_the_keys_of_the_first() -> None:
    secret = Secret()
    source = StoredSource(where="there", reading=secret.read, replacing=secret.replace)

    async def late(text: str) -> None:
        secret.text = render([OTHER])
        await secret.create_if_absent(text)

    found = await read_or_create(source, late, secrets.token_bytes)
    assert parse(found.text, where="") == (OTHER,)


async def test_a_store_that_is_away_makes_nothing() -> None:
    async def away() -> tuple[str, str]:
        raise StorageUnavailable("away")

    secret = Secret()
    source = StoredSource(where="there", reading=away, replacing=secret.replace)
    with pytest.raises(StorageUnavailable):
        await read_or_create(source, secret.create_if_absent, secrets.token_bytes)
    assert secret.text == ""

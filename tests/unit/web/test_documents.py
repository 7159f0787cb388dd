"""Discovery is published anew when it would say something else, and only then."""

import asyncio

import pytest

from idp.web.documents import follow_discovery


def test_discovery_follows_what_it_is_made_of() -> None:
    said = [b"a", b"a", b"b", b"b", b"a"]
    published: list[bytes] = []
    now = 0

    class Over(Exception):
        """The last moment has passed."""

    async def pause(seconds: float) -> None:
        nonlocal now
        assert seconds > 0
        now += 1
        if now == len(said):
            raise Over

    with pytest.raises(Over):
        asyncio.run(
            follow_discovery(lambda: said[now], lambda: published.append(said[now]), pause=pause)
        )
    assert published == [b"a", b"b", b"a"]

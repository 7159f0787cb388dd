"""What `idp keys list` prints."""

import pytest

from idp.keys.report import KeyColumnBroken, KeyLine, key_lines
from storage.kinds import KEY_RINGS
from tests.kit.clock import HandClock
from tests.unit.keys.keepers import MINUTE, Shop, announced, run, signing

START = HandClock()()


def test_every_key_of_a_ring_is_shown_with_its_state() -> None:
    async def main() -> None:
        shop = Shop()
        replica = shop.replica()
        first = await replica.keeper.start()
        shop.clock.turn(60 * MINUTE)
        ring = (await replica.keeper.tick(shop.clock())).ring
        columns = (await shop.backend.read(KEY_RINGS.name, "keys")).columns
        lines = key_lines(columns)
        assert lines == [
            KeyLine(
                kid=signing(first),
                alg="ES256",
                state="retired",
                since="2026-01-01T13:00:00Z",
                until="2026-01-01T13:10:00Z",
            ),
            KeyLine(kid=signing(ring), alg="ES256", state="signing", since="2026-01-01T13:00:00Z"),
            KeyLine(kid=announced(ring), alg="ES256", state="next", since="2026-01-01T13:00:00Z"),
        ]
        assert columns["signing"] == signing(ring)
        assert columns["next"] == announced(ring)
        assert columns["rotates"] == "2026-01-01T14:00:00Z"
        assert columns["last_rotation"] == "2026-01-01T13:00:00Z"

    run(main)


def test_what_an_older_server_wrote_shows_nothing() -> None:
    assert key_lines({}) == []


@pytest.mark.covers("R-90")
@pytest.mark.parametrize(
    "line",
    [
        "k1 RS256 signing",
        "k1 RS256 signing since \x1b[2J",
        "k1\x1b[2J RS256 signing since 2026-01-01T13:00:00Z",
        "k1 RS256 signing since 2026-01-01T13:00:00Z until",
        "",
    ],
)
def test_what_was_edited_by_hand_is_refused_and_not_shown(line: str) -> None:
    good = "k1 RS256 signing since 2026-01-01T13:00:00Z"
    with pytest.raises(KeyColumnBroken, match="line 2") as caught:
        key_lines({"keys": f"{good}\n{line}\n{good}"})
    assert "\x1b" not in str(caught.value)

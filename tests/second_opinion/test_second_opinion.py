"""Both providers are asked the same, and answer the same or differ for a reason."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kit.install.peers import find_peers
from tests.second_opinion.differences import AREAS, explained
from tests.second_opinion.outcome import outcome
from tests.second_opinion.provider import Provider, ours, theirs

pytestmark = pytest.mark.servers


@dataclass(frozen=True, slots=True)
class Both:
    """Our provider and the other one."""

    ours: Provider
    theirs: Provider


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("second-opinion")
    with ours() as own, theirs(find_peers(), directory) as other:
        yield Both(own, other)


@pytest.mark.parametrize("area", AREAS)
def test_answers_are_the_same_or_differ_for_a_reason(both: Both, area: str) -> None:
    found: dict[str, tuple[str, str]] = {}
    for name, ask in AREAS[area]():
        mine = outcome(ask(both.ours), both.ours.issuer)
        other = outcome(ask(both.theirs), both.theirs.issuer)
        if mine != other:
            found[name] = (mine, other)

    assert found == explained(area), "agree with it, or say why not in differences.toml"


def test_a_question_has_one_name_in_its_area() -> None:
    for area, ask in AREAS.items():
        names = [name for name, _ in ask()]
        assert len(set(names)) == len(names)
        assert set(explained(area)) <= set(names)

"""What ten thousand objects cost: a change as little as ever, a list less than a second."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from connectors.local import LocalUser
from idp.objects.live import LiveUsers
from idp.objects.roster import Roster, Rules, at_most_one, with_one_secret
from idp.objects.users import judge_user, user_claims, user_need
from storage.objects import Gone, Listed, ObjectNews, Put, WrittenObject
from tests.kit.connectors import cheap_hash
from tests.kit.objects import written

COUNT = 10_000
HASH = cheap_hash("correct horse")


def people() -> list[WrittenObject]:
    """Return so many people, each call with fresh dicts."""
    return [
        written(
            "local-users",
            f"user-{i}",
            {"email": f"user-{i}@example.com", "passwordHash": HASH, "groups": ["a", "b"]},
        )
        for i in range(COUNT)
    ]


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_ten_thousand_users() -> None:
    rules = Rules(
        kind="local-users",
        judge=with_one_secret(partial(judge_user, signs_in=True)),
        claims=user_claims,
        needs=at_most_one(user_need),
    )
    roster: Roster[LocalUser] = Roster(rules, lambda _: None)
    live = LiveUsers([], random=secrets.token_bytes)

    def hear(news: ObjectNews) -> None:
        live.adopt(roster.apply(news))
        live.users()

    objects, again = people(), people()
    assert cpu_seconds(lambda: hear(Listed(objects))) < 3
    assert len(list(_known(live))) == COUNT
    assert min(cpu_seconds(lambda: hear(Listed(again))) for _ in range(3)) < 0.2
    changed = [Put(replace(objects[i], spec={**objects[i].spec, "locked": True})) for i in range(5)]
    gone = [Gone(objects[i].name, objects[i].uid) for i in range(5)]
    costs = [cpu_seconds(lambda news=news: hear(news)) for news in [*changed, *gone]]  # type: ignore[misc]
    assert sorted(costs)[5] < 0.02
    assert len(list(_known(live))) == COUNT - 5


def _known(live: LiveUsers) -> Iterator[LocalUser]:
    users = live.users()
    for i in range(COUNT):
        user = users.with_email(f"USER-{i}@example.com")
        if user is not None:
            yield user

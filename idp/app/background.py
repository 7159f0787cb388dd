"""What keeps the store in order: sealing keys, sweeping, and who of several replicas does it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from idp.app.core import Core
from idp.app.store import Store
from idp.app.values import reseal_pace
from idp.keys.follow import Followed, KeyFollower
from idp.keys.resealer import HeldRing, Resealer, ResealProgress
from idp.tasks import Job
from storage.collection import Collection
from storage.sweep import Sweeper


def store_jobs(core: Core, store: Store, ring: HeldRing) -> Mapping[str, Job]:
    """Return the jobs by name; `ring` is where people ask for a reseal."""
    metrics, outside = core.metrics, core.outside

    def count_keys(followed: Followed) -> None:
        metrics.sealing_keys.set(followed.keys)

    def count_records(progress: ResealProgress) -> None:
        metrics.resealing.labels("rewritten").set(progress.rewritten)
        metrics.resealing.labels("left").set(progress.left)

    metrics.sealing_keys.set(len(store.sealing.keys))
    follower = KeyFollower(
        store.key_source,
        store.sealing,
        clock=outside.clock,
        random=outside.random,
        report=count_keys,
    )
    resealer = Resealer(
        held=ring,
        collections=(core.grants, core.rings, core.user_states, core.registered_clients),
        source=store.key_source,
        sealing=store.sealing,
        follower=follower,
        clock=outside.clock,
        random=outside.random,
        pace=reseal_pace(core.settings),
        leads=store.leadership.leads,
        report=count_records,
    )

    def sweep(collection: Collection[Any]) -> Job:
        return Sweeper(
            collection=collection,
            clock=outside.clock,
            sleep=asyncio.sleep,
            random_bytes=outside.random,
            leads=store.leadership.leads,
        ).run

    return {
        "sealing keys": follower.run,
        "reseal": resealer.run,
        "sweeper": sweep(core.grants),
        "sweeper of assertions": sweep(core.used_assertions),
        "leadership": store.leadership.run,
    }

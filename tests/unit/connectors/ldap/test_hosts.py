"""Which host is asked first."""

import pytest

from connectors.ldap.config import Host
from connectors.ldap.hosts import DOWN_SECONDS, TRY_SECONDS, Hosts

A, B, C = (Host(name=name, port=636) for name in "abc")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.covers("L-4")
def test_hosts_are_asked_in_their_order_and_who_failed_stands_back() -> None:
    clock = Clock()
    hosts = Hosts((A, B, C), monotonic=clock)
    assert hosts.in_order() == ([A, B, C], [])
    assert hosts.failed(A)
    assert hosts.in_order() == ([B, C], [A])
    assert not hosts.failed(A)
    clock.now = DOWN_SECONDS - 1
    assert hosts.in_order() == ([B, C], [A])


@pytest.mark.covers("L-4")
def test_after_its_time_one_caller_tries_a_host_in_its_old_place() -> None:
    clock = Clock()
    hosts = Hosts((A, B), monotonic=clock)
    hosts.failed(A)
    clock.now = DOWN_SECONDS
    assert hosts.in_order() == ([A, B], [])
    assert hosts.in_order() == ([B], [A])
    clock.now += TRY_SECONDS
    assert hosts.in_order() == ([A, B], [])


@pytest.mark.covers("L-4")
def test_a_host_that_answers_is_back_in_its_place() -> None:
    hosts = Hosts((A, B), monotonic=Clock())
    hosts.failed(A)
    assert hosts.answered(A)
    assert not hosts.answered(A)
    assert not hosts.answered(B)
    assert hosts.in_order() == ([A, B], [])


@pytest.mark.covers("L-1")
def test_when_all_are_down_all_are_still_tried() -> None:
    hosts = Hosts((A, B), monotonic=Clock())
    hosts.failed(A)
    hosts.failed(B)
    assert hosts.in_order() == ([], [A, B])

"""The grammar itself: the same number gives the same request, and most of them can be answered."""

from collections import Counter

from tests.fuzz.grammar import GET_PATHS, POST_PATHS, Grammar

GRAMMAR = Grammar(7, "127.0.0.1:5556")


def test_a_number_gives_the_same_request_whatever_came_before() -> None:
    forward = [GRAMMAR.request(number) for number in range(300)]
    assert [GRAMMAR.request(number) for number in reversed(range(300))] == forward[::-1]
    assert Grammar(8, GRAMMAR.host).request(0) != forward[0]


def test_requests_are_of_all_kinds() -> None:
    requests = [GRAMMAR.request(number) for number in range(3000)]
    assert 0.05 < sum(request.broken for request in requests) / len(requests) < 0.2
    assert sum(request.sound for request in requests) > len(requests) / 3
    paths = Counter(request.path for request in requests)
    assert min(paths[path] for path in (*GET_PATHS, *POST_PATHS)) > 30
    assert any(len(request.body) > 64 * 1024 for request in requests)
    assert any(b"Transfer-Encoding: chunked" in request.start for request in requests)

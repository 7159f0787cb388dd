"""What a client is answered, by whichever way it comes: query, fragment, or a form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx

_ACTION = re.compile(r'<form method="post" action="([^"]*)">')
_FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """The mode of an answer, the address that it goes to, and what it says."""

    mode: str
    address: str
    members: Mapping[str, str]


def read_answer(response: httpx.Response) -> ClientAnswer:
    """Return the answer to a client; fails on anything else."""
    if response.status_code == 200:
        return _read_form(response.text)
    assert response.status_code == 303, f"{response.status_code} {response.text}"
    location = urlsplit(response.headers["location"])
    address = location._replace(query="", fragment="").geturl()
    if location.fragment:
        assert not location.query, "both in the query and in the fragment"
        return ClientAnswer("fragment", address, _pairs(location.fragment))
    return ClientAnswer("query", address, _pairs(location.query))


def _read_form(html: str) -> ClientAnswer:
    actions = [unescape(action) for action in _ACTION.findall(html)]
    assert len(actions) == 1, html
    assert html.count("<input") == len(_FIELD.findall(html)), html
    pairs = [(unescape(name), unescape(value)) for name, value in _FIELD.findall(html)]
    return ClientAnswer("form_post", actions[0], _once(pairs))


def _pairs(encoded: str) -> dict[str, str]:
    return _once(parse_qsl(encoded, strict_parsing=True))


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    assert len(dict(pairs)) == len(pairs), f"a member came twice: {pairs}"
    return dict(pairs)

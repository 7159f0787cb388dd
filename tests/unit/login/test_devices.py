"""What somebody sits at: recognised by the words that browsers say of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.login.devices import device_of

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox on Linux",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/142.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0) {_WEBKIT} Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Version/19.0 Safari/605.1",
            "Safari on a Mac",
        ),
        (
            f"Mozilla/5.0 (iPhone; like Mac OS X) {_WEBKIT} CriOS/142.0 Safari/604.1",
            "Chrome on an iPhone",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 16; SM-S931B) {_WEBKIT} SamsungBrowser/29.0 Chrome/136.0",
            "Samsung Internet on Android",
        ),
        (f"Mozilla/5.0 (X11; CrOS x86_64) {_WEBKIT} Chrome/142.0", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (Linux; Android 16)", "A browser on Android"),
        ("Firefox/1.0", "Firefox"),
        ("curl/8.14", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_a_device_is_named_as_people_would_name_it(user_agent: str, device: str) -> None:
    assert device_of(user_agent) == device


@given(said=st.text())
def test_nothing_of_what_was_sent_comes_out(said: str) -> None:
    hostile = f"<script>{said}"
    device = device_of(hostile)
    assert len(device) < 40
    assert "<" not in device

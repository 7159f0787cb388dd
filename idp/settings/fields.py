"""The types of single values. Texts of errors continue a sentence that begins with the value."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, SecretStr

from idp.durations import parse_duration
from idp.settings.url_syntax import is_host, parse_port, parse_url, split_authority

Network = IPv4Network | IPv6Network


class Address(NamedTuple):
    """Where to listen. An empty host means all interfaces, port 0 any free port."""

    host: str
    port: int


def _as_text(value: Any) -> Any:
    """Take a whole number for the text it was written as: `secret: 12345`, as Dex does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _as_flag(value: Any) -> Any:
    """Take "true" and "false" in quotes too, for `${env:…}` always gives text."""
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def trimmed(text: str) -> str:
    """Return a text that has something in it and no space around it. Raises ValueError."""
    if text != text.strip():
        raise ValueError("begins or ends with a space or a line break; remove it")
    if not text:
        raise ValueError("is empty")
    return text


Text = Annotated[str, BeforeValidator(_as_text), AfterValidator(trimmed)]
Flag = Annotated[bool, BeforeValidator(_as_flag)]


def _secret(value: Any) -> Any:
    text = _as_text(value)
    return SecretStr(trimmed(text)) if isinstance(text, str) else text


Secret = Annotated[SecretStr, BeforeValidator(_secret)]


def lowered(value: Any) -> Any:
    """Take a word in capitals for the word in lower case."""
    return value.lower() if isinstance(value, str) else value


def count_between(low: int, high: int) -> BeforeValidator:
    """Return the check of a whole number."""

    def check(value: Any) -> Any:
        number = int(value) if isinstance(value, str) and _is_number(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return BeforeValidator(check)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _as_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = _as_text(value)
    if not isinstance(text, str):
        raise ValueError("must be a duration, such as 90s or 24h")
    return parse_duration(text)


def duration_between(low: str, high: str) -> BeforeValidator:
    """Return the check of a duration from one length to another, given as Go writes them."""
    return BeforeValidator(_duration_check(low, high))


def _duration_check(low: str, high: str) -> Callable[[Any], timedelta]:
    shortest, longest = parse_duration(low), parse_duration(high)

    def check(value: Any) -> timedelta:
        duration = _as_duration(value)
        if not shortest <= duration <= longest:
            raise ValueError(f"must be at least {low} and at most {high}")
        return duration

    return check


def whole_seconds(duration: timedelta) -> timedelta:
    """Return a duration that can be told in seconds. Raises ValueError for another."""
    if duration.microseconds:
        raise ValueError("must be a whole number of seconds")
    return duration


def optional_duration_between(low: str, high: str) -> BeforeValidator:
    """Return the check of a duration that "0" switches off, which gives None."""
    check = _duration_check(low, high)

    def check_unless_off(value: Any) -> timedelta | None:
        return check(value) if value is not None and _as_duration(value) else None

    return BeforeValidator(check_unless_off)


def no_end_or_between(low: str, high: str) -> BeforeValidator:
    """Return the check of a duration for which "none" and "0" mean that it has no end.

    That is `timedelta.max`, since None stands for what was not said.
    """
    check = _duration_check(low, high)

    def check_unless_endless(value: Any) -> timedelta:
        if value == "none" or value == timedelta.max or not _as_duration(value):
            return timedelta.max
        return check(value)

    return BeforeValidator(check_unless_endless)


def _as_address(value: Any) -> Address:
    if isinstance(value, Address):
        return value
    text = _as_text(value)
    if not isinstance(text, str):
        raise ValueError('must be an address, such as "127.0.0.1:5556"')
    if "://" in text:
        raise ValueError("is a URL; write host and port only, such as 127.0.0.1:5556")
    if text.isdigit():
        raise ValueError(f'is a port without a colon; write ":{text}" for all interfaces')
    if text.startswith(":") and text.count(":") == 1:
        return Address("", parse_port(text[1:]))
    host, port = split_authority(text)
    if port is None:
        raise ValueError(f"has no port; write for example {host}:5556")
    return Address(host.strip("[]"), port)


ListenAddress = Annotated[Address, BeforeValidator(_as_address)]


def _as_network(value: Any) -> Any:
    if isinstance(value, Network):
        return value
    try:
        return ip_network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise ValueError("is not a network; write for example 10.0.0.0/8 or fd00::/8") from None


TrustedNetwork = Annotated[Network, BeforeValidator(_as_network)]


def _origin(text: str) -> str:
    if text == "*":
        return text
    url = parse_url(text)
    if url.scheme not in {"https", "http"}:
        raise ValueError("must begin with https:// or http:// in lower case")
    if url.path or url.query is not None or url.fragment is not None:
        raise ValueError("is more than an origin; end it after the host and port")
    if url.host != url.host.lower():
        raise ValueError(f"has capitals in its host; browsers send `{url.host.lower()}`")
    if url.port == {"https": 443, "http": 80}[url.scheme]:
        raise ValueError("names the port that browsers leave out; remove it")
    return text


Origin = Annotated[Text, AfterValidator(_origin)]


def check_host(text: str) -> str:
    """Return a host, with or without a port, in lower case. Raises ValueError."""
    if is_host(text):
        return text.lower()
    split_authority(text)
    return text.lower()


HostName = Annotated[Text, AfterValidator(check_host)]


def _image_url(text: str) -> str:
    url = parse_url(text)
    if url.scheme != "https" and not (url.scheme == "http" and url.is_loopback):
        raise ValueError("must begin with https://")
    return text


ImageUrl = Annotated[Text, AfterValidator(_image_url)]

"""What an answer comes to: the same word for the same thing, whoever gives it."""

import json
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx

_ACTION = re.compile(r'<form[^>]*method="post"[^>]*action="([^"]*)"', re.I)
_ERROR_FIELD = re.compile(r'<input[^>]*name="error"[^>]*value="([^"]*)"', re.I)
_CHALLENGE = re.compile(r'error="([^"]*)"')
_PASSWORD_FIELD = re.compile(r'<input[^>]*type="password"', re.I)


def outcome(response: httpx.Response, issuer: str) -> str:
    """Return the outcome of an answer.

    `login` is a person who is asked to sign in, `page 400` an error for the person, `query CODE`,
    `fragment CODE` and `form CODE` an answer that the client gets by that way (CODE is the error,
    or `ok`); `400 CODE` and `200` are answers to a client's own request. `page 200` is any other
    page, `on` a redirect within the provider.
    """
    location = response.headers.get("location")
    if location is not None:
        return _redirect(location, issuer)
    if "json" in response.headers.get("content-type", ""):
        return _json(response)
    if "html" in response.headers.get("content-type", ""):
        return _page(response, issuer)
    return _bare(response)


def _redirect(location: str, issuer: str) -> str:
    parts = urlsplit(location)
    if "/interaction/" in parts.path:
        return "login"
    if not parts.netloc or location.startswith(issuer):
        return "on"
    way, members = ("fragment", parts.fragment) if parts.fragment else ("query", parts.query)
    return f"{way} {dict(parse_qsl(members)).get('error', 'ok')}"


def _json(response: httpx.Response) -> str:
    try:
        document = json.loads(response.text)
    except ValueError:
        return f"{response.status_code} broken"
    if isinstance(document, dict) and "error" in document:
        return f"{response.status_code} {document['error']}"
    if isinstance(document, dict) and document.get("active") is False:
        return f"{response.status_code} inactive"
    return str(response.status_code)


def _page(response: httpx.Response, issuer: str) -> str:
    if _PASSWORD_FIELD.search(response.text):
        return "login"
    action = _ACTION.search(response.text)
    if action and not f"{unescape(action[1])}/".startswith(("/", f"{issuer}/")):
        error = _ERROR_FIELD.search(response.text)
        return f"form {error[1] if error else 'ok'}"
    return f"page {response.status_code}"


def _bare(response: httpx.Response) -> str:
    challenge = _CHALLENGE.search(response.headers.get("www-authenticate", ""))
    return " ".join([str(response.status_code), *([challenge[1]] if challenge else [])])

"""What somebody sits at, in words that they recognise: `Firefox on Linux`.

Made of the User-Agent header (RFC 9110 section 10.1.5), which anybody can write as they like: it is
shown to the person themselves, and nothing is decided by it. Only words of this file come out.
"""

_BROWSERS = (
    # Whoever names several is the first of them: all but Firefox call themselves Chrome or Safari.
    (("Edg/", "EdgA/", "EdgiOS/"), "Edge"),
    (("OPR/", "OPT/"), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("Firefox/", "FxiOS/"), "Firefox"),
    (("Chrome/", "CriOS/", "Chromium/"), "Chrome"),
    (("Safari/",), "Safari"),
)
_SYSTEMS = (
    (("iPhone",), "an iPhone"),
    (("iPad",), "an iPad"),
    (("Android",), "Android"),
    (("Windows",), "Windows"),
    (("CrOS",), "ChromeOS"),
    (("Macintosh",), "a Mac"),
    (("Linux", "X11"), "Linux"),
)
_LONGEST = 1024


def device_of(user_agent: str) -> str:
    """Return browser and system, "" where neither is known."""
    said = user_agent[:_LONGEST]
    browser, system = _first(_BROWSERS, said), _first(_SYSTEMS, said)
    if not browser:
        return f"A browser on {system}" if system else ""
    return f"{browser} on {system}" if system else browser


def _first(words: tuple[tuple[tuple[str, ...], str], ...], said: str) -> str:
    return next((word for signs, word in words if any(sign in said for sign in signs)), "")

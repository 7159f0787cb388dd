"""Redirect URIs that must be refused, by family, and those that must not.

Every family is a trick that some matcher fell for (RFC 9700 section 4.1, RFC 8252 section 8.3). A
case is a pair: the family, and the URI.
"""

Case = tuple[str, str]

EVIL = "evil.example"
EXACT = "https://app.example.com/callback"
"""What the confidential client of these cases has registered."""

LOOPBACK = ("http://127.0.0.1:8000/done", "http://[::1]:8000/done", "http://localhost:8000")
"""What the public client of these cases has registered."""

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"

GOOD_LOOPBACK = (
    "http://127.0.0.1:8000/done",
    "http://127.0.0.1:1/done",
    "http://127.0.0.1:65535/done",
    "http://127.0.0.1:80/done",
    "http://127.0.0.1/done",
    "http://[::1]:8000/done",
    "http://[::1]:49152/done",
    "http://[::1]/done",
    "http://localhost:8000",
    "http://localhost:8000/",
    "http://localhost:18000",
    "http://localhost:18000/",
    "http://localhost",
    "http://localhost/",
)
"""What matches `LOOPBACK` for a public client: any port, and an empty path equals "/"."""

GOOD_ANYWHERE = (
    *GOOD_LOOPBACK,
    "http://localhost:8000/any/path",
    "http://127.0.0.1:1024/callback?from=cli",
    "http://[::1]:5000/a/b/../c",
    "http://localhost?x=1",
    OUT_OF_BAND,
)
"""What a public client without registered URIs may use."""

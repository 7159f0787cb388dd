"""Hundreds of tokens that must be refused, made from one that is good.

Most carry a true signature of the issuer's own key, so that only the rule under test can refuse
them. Each is a pair: what is wrong with it, and the text.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Case = tuple[str, str]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class Good:
    """A good token to start from. `claims` must name `audience` and expire later than `now`."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    sign: Callable[[bytes], bytes]
    sign_as_stranger: Callable[[bytes], bytes]
    public_forms: Mapping[str, bytes]
    now: int

    def text(self) -> str:
        """Return the good token itself."""
        return self.signed(dumps(self.header), dumps(self.claims))

    def signed(self, header: bytes, payload: bytes) -> str:
        """Return a token of any bytes, truly signed."""
        start = f"{b64(header)}.{b64(payload)}"
        return f"{start}.{b64(self.sign(start.encode()))}"

    def with_header(self, **members: Any) -> str:
        """Return a truly signed token whose header has other members; None takes one away."""
        return self.signed(dumps(_changed(self.header, members)), dumps(self.claims))

    def with_claims(self, **claims: Any) -> str:
        """Return a truly signed token with other claims; None takes one away."""
        return self.signed(dumps(self.header), dumps(_changed(self.claims, claims)))


def hostile_tokens(good: Good) -> Iterator[Case]:
    """Yield every case."""
    yield from algorithms(good)
    yield from steering_headers(good)
    yield from key_ids(good)
    yield from types(good)
    yield from broken_headers(good)
    yield from broken_payloads(good)
    yield from wrong_claims(good)
    yield from mangled_segments(good)
    yield from wrong_structures(good)
    yield from wrong_signatures(good)


def algorithms(good: Good) -> Iterator[Case]:
    """RFC 8725 sections 2.1 and 3.1: none, confusion of HMAC and signature, other algorithms."""
    for alg in ("none", "None", "NONE", "nOnE", "", " none", "none "):
        yield f"alg {alg!r}, signed", good.with_header(alg=alg)
        start = f"{b64(dumps({**good.header, 'alg': alg}))}.{b64(dumps(good.claims))}"
        yield f"alg {alg!r}, no signature", f"{start}."
        yield f"alg {alg!r}, two parts", start
    others = "RS384 RS512 PS256 PS384 ES256 ES384 ES512 ES256K RS256 EdDSA Ed25519 ML-DSA-44 RSA1_5"
    others += " RSA-OAEP dir A256KW PBES2-HS256+A128KW rs256 es256 Rs256"
    for alg in others.split():
        if alg != good.header["alg"]:
            yield f"alg {alg}", good.with_header(alg=alg)
    not_text: list[Any] = [0, 1, 256, True, False, [], {}, ["RS256"], {"RS256": 1}, 1.5]
    for bad in not_text:
        yield f"alg {bad!r}", good.with_header(alg=bad)
    yield "alg missing", good.with_header(alg=None)
    yield "alg null", good.signed(dumps({**good.header, "alg": None}), dumps(good.claims))
    for size in (256, 384, 512):
        for name, secret in {**good.public_forms, "nothing": b""}.items():
            start = f"{b64(dumps({**good.header, 'alg': f'HS{size}'}))}.{b64(dumps(good.claims))}"
            mac = hmac.digest(secret, start.encode(), f"sha{size}")
            yield f"HS{size} keyed with {name}", f"{start}.{b64(mac)}"
        yield f"HS{size} over a true signature", good.with_header(alg=f"HS{size}")


def steering_headers(good: Good) -> Iterator[Case]:
    """Keys out of the token, extensions, compression, parameters of JWE."""
    url = "http://127.0.0.1:9/keys.json"
    steering: Mapping[str, list[Any]] = {
        "jwk": [{"kty": "oct", "k": "AA"}, {}, "x", json.loads(good.public_forms["jwk"])],
        "jku": [url, "", "file:///etc/passwd", 1],
        "x5u": [url, "", 1],
        "x5c": [["MIIB"], [], "MIIB"],
        "crit": [[], ["exp"], ["b64"], ["alg"], "b64", 1, ["crit"], {}],
        "b64": [True, False, "false", 0],
        "zip": ["DEF", "", "GZIP", 0],
        "enc": ["A256GCM", ""],
        "epk": [{}],
        "p2c": [2**31, 1, "1"],
        "p2s": ["AA"],
        "apu": [""],
    }
    for name, values in steering.items():
        for value in values:
            yield f"header {name} {value!r}", good.with_header(**{name: value})
            stranger = b64(dumps({**good.header, name: value})) + "." + b64(dumps(good.claims))
            signature = b64(good.sign_as_stranger(stranger.encode()))
            yield f"header {name} {value!r}, a stranger's signature", f"{stranger}.{signature}"
    yield "b64 with crit", good.with_header(b64=False, crit=["b64"])
    yield "header crit null", good.signed(dumps({**good.header, "crit": None}), dumps(good.claims))


def key_ids(good: Good) -> Iterator[Case]:
    """Every kid but the true one."""
    kid = str(good.header["kid"])
    bad: list[Any] = ["", "x", kid + " ", " " + kid, kid + "\0", kid[:-1], kid.swapcase(), kid * 2]
    bad += ["../../../../dev/null", "' OR 1=1 --", "k" * 300, "k" * 9000, "\ud7ff", "${x}"]
    bad += [0, 1, True, [], [kid], {}, {"kid": kid}, 1.0]
    for value in bad:
        yield f"kid {str(value)[:40]!r}", good.with_header(kid=value)
    yield "kid missing", good.with_header(kid=None)


def types(good: Good) -> Iterator[Case]:
    """RFC 8725 section 3.11: any other typ."""
    kinds = ["at+jwt", "logout+jwt", "JWT", "jwt", "JOSE", "dpop+jwt", "application/jwt", "Jwt"]
    kinds += ["application/at+jwt", "secevent+jwt", "JWT ", "", "oauth-authz-req+jwt"]
    for typ in kinds:
        if typ != good.header["typ"]:
            yield f"typ {typ!r}", good.with_header(typ=typ)
    not_text: list[Any] = [1, True, [], {}, [good.header["typ"]]]
    for bad in not_text:
        yield f"typ {bad!r}", good.with_header(typ=bad)
    yield "typ missing", good.with_header(typ=None)


def broken_headers(good: Good) -> Iterator[Case]:
    """Headers that are no plain JSON object."""
    payload = dumps(good.claims)
    for name, header in _broken(good.header).items():
        yield f"header {name}", good.signed(header, payload)
    for member in good.header:
        yield f"header {member} twice", good.signed(_twice(good.header, member), payload)
        escaped = _twice(good.header, member, "".join(f"\\u{ord(c):04x}" for c in member))
        yield f"header {member} twice, once escaped", good.signed(escaped, payload)


def broken_payloads(good: Good) -> Iterator[Case]:
    """Claims that are no plain JSON object."""
    header = dumps(good.header)
    for name, payload in _broken(good.claims).items():
        yield f"claims {name}", good.signed(header, payload)
    for claim in good.claims:
        yield f"claim {claim} twice", good.signed(header, _twice(good.claims, claim))
    nested = dumps(good.claims)[:-1] + b',"x":{"y":1,"y":2}}'
    yield "a name twice deep inside", good.signed(header, nested)


def wrong_claims(good: Good) -> Iterator[Case]:
    """Registered claims of the wrong kind or value (RFC 7519 section 4.1)."""
    header = dumps(good.header)
    for claim in ("exp", "iat"):
        start = dumps(_changed(good.claims, {claim: None}))[:-1] + f',"{claim}":'.encode()
        later = str(good.now + 600)
        numbers = ["null", "true", "false", '""', f'"{later}"', f"{later}.0", f"{later}.5", "[]"]
        numbers += ["{}", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1e10", "9" * 5000]
        numbers += ["9" * 30, f"[{later}]", "0x7fffffff", f"+{later}", f"0{later}", "1_000", ""]
        for number in numbers:
            token = good.signed(header, start + number.encode() + b"}")
            yield f"{claim} {number[:20]}", token
        yield f"{claim} missing", good.with_claims(**{claim: None})
    for past in (0, -1, good.now, good.now - 1, -(2**62)):
        yield f"exp {past}", good.with_claims(exp=past)
    for soon in (good.now + 1, good.now + 3600, 2**62):
        yield f"nbf {soon}", good.with_claims(nbf=soon)
    not_whole: list[Any] = ["0", 1.5, True, [], {}]
    for bad in not_whole:
        yield f"nbf {bad!r}", good.with_claims(nbf=bad)
    issuer, audience = str(good.claims["iss"]), str(good.claims["aud"])
    issuers: list[Any] = [issuer + "/", issuer[:-1], issuer.upper(), "", "x", [issuer], 1, True]
    issuers += [issuer + "\0", " " + issuer, {"iss": issuer}, issuer.replace("https", "http")]
    for iss in issuers:
        yield f"iss {iss!r}", good.with_claims(iss=iss)
    yield "iss missing", good.with_claims(iss=None)
    audiences: list[Any] = [audience + "x", "x" + audience, audience[:-1], "", audience.upper()]
    audiences += [[], [""], [audience + "x"], [[audience]], {audience: 1}, 1, True, [{}]]
    for aud in audiences:
        yield f"aud {aud!r}", good.with_claims(aud=aud)
    yield "aud missing", good.with_claims(aud=None)


def mangled_segments(good: Good) -> Iterator[Case]:
    """Each part written in a way that a lenient decoder reads all the same."""
    parts = good.text().split(".")
    for index, name in enumerate(("header", "payload", "signature")):
        part = parts[index]
        half = len(part) // 2
        mangled = {
            "empty": "",
            "padded": part + "=" * (-len(part) % 4 or 4),
            "padded once": part + "=",
            "padded, escaped": part + "%3D",
            "newline after": part + "\n",
            "newline before": "\n" + part,
            "newline inside": part[:half] + "\n" + part[half:],
            "space inside": part[:half] + " " + part[half:],
            "tab inside": part[:half] + "\t" + part[half:],
            "NUL inside": part[:half] + "\0" + part[half:],
            "zero-width space inside": part[:half] + "\u200b" + part[half:],
            "plus": "+" + part[1:],
            "slash": "/" + part[1:],
            "full-width letter": "\uff21" + part[1:],
            "half a surrogate": "\ud800" + part[1:],
            "cut by 1": part[:-1],
            "cut by 2": part[:-2],
            "cut by 4": part[:-4],
            "longer by 1": part + "A",
            "longer by 2": part + "AA",
            "longer by 4": part + "AAAA",
            "doubled": part + part,
            "reversed": part[::-1],
            "other case": part.swapcase(),
            "hexadecimal": part.encode().hex(),
        }
        for how, text in mangled.items():
            yield f"{name} {how}", ".".join((*parts[:index], text, *parts[index + 1 :]))
        if len(part) % 4:
            # Bits after the last byte, which most decoders ignore.
            last = ALPHABET[ALPHABET.index(part[-1]) ^ 1]
            yield (
                f"{name} spare bits",
                ".".join((*parts[:index], part[:-1] + last, *parts[index + 1 :])),
            )


def wrong_structures(good: Good) -> Iterator[Case]:
    """Texts that are no compact JWS at all."""
    text = good.text()
    header, payload, signature = text.split(".")
    yield from (
        ("empty", ""),
        ("one dot", "."),
        ("two dots", ".."),
        ("three dots", "..."),
        ("one part", header),
        ("no signature part", f"{header}.{payload}"),
        ("four parts", f"{text}.AAAA"),
        ("five parts, as a JWE", f"{header}.{payload}.AAAA.{payload}.{signature}"),
        ("six parts", f"{text}.a.b.c"),
        ("detached payload", f"{header}..{signature}"),
        ("dot after", text + "."),
        ("dot before", "." + text),
        ("twice", f"{text}{text}"),
        ("twice, with a comma", f"{text},{text}"),
        ("quoted", f'"{text}"'),
        ("with scheme", f"Bearer {text}"),
        ("space before", f" {text}"),
        ("newline after", f"{text}\n"),
        ("NUL after", f"{text}\0"),
        ("17 KiB of letters", "A" * 17 * 1024),
        ("17 KiB of dots", "." * 17 * 1024),
        ("a megabyte in the payload", f"{header}.{'A' * 2**20}.{signature}"),
        ("too long by its claims", good.with_claims(x="x" * 16 * 1024)),
        ("header of 3 KiB", good.with_header(x="x" * 3 * 1024)),
        ("JWE header", good.with_header(alg="dir", enc="A256GCM")),
        ("flattened JSON", _json_form(header, payload, signature)),
        (
            "general JSON",
            json.dumps({"payload": payload, "signatures": [{"signature": signature}]}),
        ),
        ("parts in another order", f"{payload}.{header}.{signature}"),
    )


def wrong_signatures(good: Good) -> Iterator[Case]:
    """Signatures that fit no key."""
    start, _, signature_text = good.text().rpartition(".")
    signature = base64.urlsafe_b64decode(signature_text + "==")
    other = good.sign(b"another message")
    half = len(signature) // 2
    forged = {
        "zeros": bytes(len(signature)),
        "ones": b"\xff" * len(signature),
        "one": b"\0" * (len(signature) - 1) + b"\1",
        "of another message": other,
        "of a stranger": good.sign_as_stranger(start.encode()),
        "halves swapped": signature[half:] + signature[:half],
        "zero first half": bytes(half) + signature[half:],
        "zero second half": signature[:half] + bytes(half),
        "a byte more": signature + b"\0",
        "a byte more before": b"\0" + signature,
        "a byte less": signature[:-1],
        "DER around it": b"\x30" + bytes([len(signature) % 128]) + signature,
        "one byte": b"\0",
        "a digest of the text": hashlib.sha256(start.encode()).digest(),
        "4 KiB": signature * 16,
    }
    for name, raw in forged.items():
        yield f"signature {name}", f"{start}.{b64(raw)}"


def b64(data: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**members, **changes}.items() if value is not None}


def _twice(members: Mapping[str, Any], name: str, spelling: str | None = None) -> bytes:
    text = dumps(members)[:-1].decode()
    return f'{text},"{spelling or name}":{json.dumps(members[name])}}}'.encode()


def _broken(members: Mapping[str, Any]) -> dict[str, bytes]:
    text = dumps(members)
    deep = text[:-1] + b',"x":' + b"[" * 8 + b"]" * 8 + b"}"
    return {
        "array": b"[" + text + b"]",
        "string": json.dumps(text.decode()).encode(),
        "null": b"null",
        "number": b"1",
        "nothing": b"",
        "a space": b" ",
        "empty object": b"{}",
        "with byte order mark": b"\xef\xbb\xbf" + text,
        "in UTF-16": text.decode().encode("utf-16"),
        "in UTF-16 without mark": text.decode().encode("utf-16-le"),
        "in UTF-32": text.decode().encode("utf-32"),
        "cut": text[:-1],
        "with more after": text + b"{}",
        "with a brace after": text + b"}",
        "with NUL after": text + b"\0",
        "with a comment": text[:-1] + b"/**/}",
        "with a trailing comma": text[:-1] + b",}",
        "with single quotes": text.replace(b'"', b"'"),
        "with bare names": text[:-1] + b",x:1}",
        "not UTF-8": text[:-1] + b',"x":"\xff"}',
        "with an overlong slash": text[:-1] + b',"x":"\xc0\xaf"}',
        "with half a surrogate": text[:-1] + b',"x":"\\ud800"}',
        "with half a surrogate as a name": text[:-1] + b',"\\udc00":1}',
        "with a surrogate in UTF-8": text[:-1] + b',"x":"\xed\xa0\x80"}',
        "with a raw newline in a string": text[:-1] + b',"x":"\n"}',
        "with NaN": text[:-1] + b',"x":NaN}',
        "with Infinity": text[:-1] + b',"x":Infinity}',
        "with -Infinity": text[:-1] + b',"x":-Infinity}',
        "with 1e999": text[:-1] + b',"x":1e999}',
        "with a long number": text[:-1] + b',"x":' + b"1" * 1000 + b"}",
        "with a number of 65 bits": text[:-1] + b',"x":18446744073709551616}',
        "with a long fraction": text[:-1] + b',"x":0.' + b"1" * 1000 + b"}",
        "nested 9 deep": deep,
        "nested 9 deep, hidden by strings": text[:-1]
        + b',"x":'
        + b'["]",' * 8
        + b"1"
        + b"]" * 8
        + b"}",
        "nested 9 deep, hidden by escapes": text[:-1]
        + b',"x":'
        + b'["\\"]\\\\",' * 8
        + b"1"
        + b"]" * 8
        + b"}",
        "nested 9 deep, hidden by escaped quotes": text[:-1]
        + b',"x":'
        + b'["\\"]\\"",' * 8
        + b"1"
        + b',"\\"[\\""]' * 8
        + b"}",
        "nested 1000 deep": text[:-1] + b',"x":' + b"[" * 700 + b"]" * 700 + b"}",
        "with an open nest": text[:-1] + b',"x":' + b"[" * 1000,
        "with objects closed as arrays": text[:-1] + b',"x":{]}',
        "with thousands of members": text[:-1] + b',"x":[' + b"1," * 3000 + b"1]}",
    }


def _json_form(header: str, payload: str, signature: str) -> str:
    return json.dumps({"protected": header, "payload": payload, "signature": signature})

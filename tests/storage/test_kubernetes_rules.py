"""What `kubectl apply` refuses: every rule of the definitions, tried on a real API server.

A rule must never refuse what the server itself takes; it may be weaker.
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from idp.oauth.claim_names import ADDRESS_MEMBERS, OF_IDENTITY, OURS, STANDARD
from idp.settings.redirect_rules import check_redirect_uri
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.storage.definitions import HASH, Cause, Definitions, written
from tests.vectors.redirects import GOOD_ANYWHERE, OUT_OF_BAND
from tests.vectors.redirects.hostile import (
    hostile_to_exact,
    hostile_to_loopback,
    hostile_to_registered_loopback,
)

pytestmark = pytest.mark.servers

ARGON2ID = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43
SPACES = "begins or ends with a space or a line break; remove it"
NO_SECRET = (
    "cannot be the name of a Secret; names are made of lower case letters, digits, `-` and `.`"
)
NO_ENTRY = "cannot be an entry of a Secret; entries are made of letters, digits, `-`, `_` and `.`"
OWNED = (
    "names what the provider itself says of a token or of the person, such as iss, sub, aud, exp,"
    " groups or client_id; remove it"
)
OWN_FIELD = (
    "names a claim that has a field of its own: spec.name, spec.preferredUsername, spec.email or"
    " spec.emailVerified"
)
ADDRESS = (
    "has no such part of an address; there are address.formatted, address.street_address,"
    " address.locality, address.region, address.postal_code and address.country"
)
NO_NAME = "has what is no name of a claim: at most 128 letters, digits and any of _.:/~-"
MOST_URIS, LONGEST_URI = 64, 2048


@pytest.fixture(scope="module")
def definitions(kube: KubeApiServer, crds: None) -> Definitions:
    kube.kubectl("create", "namespace", "rules").check()
    return Definitions(kube, "rules")


def client(**changes: Any) -> dict[str, Any]:
    return written("OIDCClient", "shop", {"clientID": "shop", **changes})


def user(**changes: Any) -> dict[str, Any]:
    spec = {"email": "jane@example.com", "passwordHash": HASH, **changes}
    return written("LocalUser", "jane", {k: v for k, v in spec.items() if v is not None})


def state(**changes: Any) -> dict[str, Any]:
    return written("UserState", "jane", {"connector": "ldap", "userID": "7", **changes})


@pytest.mark.parametrize(
    "good",
    [
        client(),
        client(clientID="!" + "~" * 254),
        client(clientID="https://app.example.com/ id"),
        client(public=True, redirectURIs=["http://127.0.0.1/cb", OUT_OF_BAND]),
        client(secretRef={"name": "shop.secrets-1"}),
        client(secretRef={"name": "s", "key": "a_B.c-1"}),
        client(secretRef={"name": "s", "key": ""}),
        client(public=False, secretRef={"name": "s"}),
        client(trustedPeers=["cli"], clientCredentialsClaims={"groups": ["robots"]}),
        user(),
        user(passwordHash=ARGON2ID),
        user(passwordHash="JDJhJDEwJDMzRU1UMGNWWVZsUHk2V0FNQ0xzY2U="),
        user(passwordHash=None, passwordHashRef={"name": "jane"}),
        user(userID="", groups=["a", "b"], locked=True, emailVerified=False, name="", username=""),
        user(email="ＡＬＩＣＥ"),
        user(claims={}),
        user(claims={name: ["x"] for name in STANDARD if name not in OF_IDENTITY}),
        user(claims={f"address.{member}": ["x"] for member in ADDRESS_MEMBERS}),
        user(claims={"department": ["r", "d"], "https://example.com/x~1-2_3": ["ü" * 1024]}),
        user(claims={f"c{n}": ["x"] for n in range(64)}),
        user(claims={"x" * 128: [str(n) for n in range(64)]}),
        state(),
        state(locked=True, user="jane", notBefore=""),
        state(notBefore="2026-02-28T23:59:59Z"),
        state(notBefore="2026-02-28T23:59:59.123456789+05:30"),
        written("RefreshGrant", "g", {"sealed": ""}),
        written("RefreshGrant", "g", {"sealed": "s", "user": "ü" * 2048, "expires": "", "x": "y"}),
        written("SigningKeyRing", "signing-keys", {"sealed": "s", "keys": "k\n" * 30000}),
        written("RegisteredClient", "c", {"sealed": "s", "clientName": "", "x": "y"}),
    ],
    ids=lambda item: json.dumps(item["spec"])[:60],
)
def test_good_objects_are_taken(definitions: Definitions, good: Mapping[str, Any]) -> None:
    assert definitions.judge(good) == []


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (
            client(clientID="bücher"),
            "spec.clientID",
            "must be at most 255 printable ASCII characters (RFC 6749 appendix A.1)",
        ),
        (client(clientID="a\tb"), "spec.clientID", None),
        (client(clientID="shop "), "spec.clientID", SPACES),
        (client(clientID=" shop"), "spec.clientID", SPACES),
        (client(clientID="a" * 256), "spec.clientID", "Too long: may not be more than 255 bytes"),
        (client(clientID=""), "spec.clientID", None),
        (written("OIDCClient", "shop", {}), "spec.clientID", "Required value"),
        (
            client(public=True, secretRef={"name": "s"}),
            "spec.secretRef",
            "is for clients that have a secret; remove it, or spec.public",
        ),
        (client(secretRef={"name": "Shop"}), "spec.secretRef.name", NO_SECRET),
        (client(secretRef={"name": "shop/../x"}), "spec.secretRef.name", NO_SECRET),
        (client(secretRef={"key": "a"}), "spec.secretRef.name", "Required value"),
        (client(secretRef={"name": "s", "key": "a/b"}), "spec.secretRef.key", NO_ENTRY),
        (
            client(redirectURIs=[OUT_OF_BAND]),
            "spec.redirectURIs",
            f"holds {OUT_OF_BAND}, which is for public clients only",
        ),
        (
            client(redirectURIs=["https://a.example/", "https://a.example/"]),
            "spec.redirectURIs[1]",
            'Duplicate value: "https://a.example/"',
        ),
        (client(redirectURIs=["https://a.example/" + "a" * 2048]), "spec.redirectURIs[0]", None),
        (
            client(redirectURIs=[f"https://a.example/{i}" for i in range(65)]),
            "spec.redirectURIs",
            "Too many: 65: must have at most 64 items",
        ),
        (client(trustedPeers=["a", "a"]), "spec.trustedPeers[1]", 'Duplicate value: "a"'),
        (user(email=""), "spec.email", None),
        (user(email="jane@example.com\n"), "spec.email", SPACES),
        (user(email=None), "spec.email", "Required value"),
        (
            user(passwordHash=None),
            "spec.passwordHash",
            "is required: make one with `idp hash-password`, or name a Secret that holds it in"
            " spec.passwordHashRef",
        ),
        (
            user(passwordHashRef={"name": "jane"}),
            "spec.passwordHashRef",
            "is given beside spec.passwordHash; remove one of the two",
        ),
        (
            user(passwordHash="correct horse"),
            "spec.passwordHash",
            "cannot be used: it is no bcrypt or argon2id hash; make one with `idp hash-password`,"
            " put it in single quotes",
        ),
        (user(passwordHash=""), "spec.passwordHash", None),
        (user(passwordHash="$6$salt$hash"), "spec.passwordHash", None),
        (user(passwordHash="$argon2i$v=19$m=4096"), "spec.passwordHash", None),
        (user(groups=["a", "a"]), "spec.groups[1]", 'Duplicate value: "a"'),
        *(
            (user(claims={name: ["x"]}), "spec.claims", OWNED)
            for name in sorted({"iss", "sub", "Groups", "AMR", *OURS})
        ),
        *(
            (user(claims={name: ["x"]}), "spec.claims", OWN_FIELD)
            for name in ("name", "preferred_username", "email", "Email_Verified")
        ),
        (user(claims={"address": ["x"]}), "spec.claims", ADDRESS),
        (user(claims={"ADDRESS": ["x"]}), "spec.claims", ADDRESS),
        (user(claims={"address.town": ["x"]}), "spec.claims", ADDRESS),
        *((user(claims={name: ["x"]}), "spec.claims", NO_NAME) for name in ("a b", ".a", "é", "")),
        (user(claims={"x" * 129: ["x"]}), "spec.claims", NO_NAME),
        (user(claims={"department": "x"}), "spec.claims.department", None),
        (user(claims={"department": []}), "spec.claims.department", None),
        (user(claims={"department": [""]}), "spec.claims.department[0]", None),
        (user(claims={"department": [7]}), "spec.claims.department[0]", None),
        (user(claims={"department": ["x" * 1025]}), "spec.claims.department[0]", None),
        (user(claims={f"c{n}": ["x"] for n in range(65)}), "spec.claims", None),
        (
            user(passwordHash=None, passwordHashRef={"name": "_"}),
            "spec.passwordHashRef.name",
            NO_SECRET,
        ),
        (
            state(notBefore="tomorrow"),
            "spec.notBefore",
            "`tomorrow` is no instant; write for example 2026-01-31T12:00:00Z",
        ),
        (state(notBefore="2026-02-28T23:59:59"), "spec.notBefore", None),
        (state(notBefore="2026-13-28T23:59:59Z"), "spec.notBefore", None),
        (written("UserState", "jane", {"userID": "7"}), "spec.connector", "Required value"),
        (written("RefreshGrant", "g", {"user": "jane"}), "spec.sealed", "Required value"),
    ],
    ids=lambda value: json.dumps(value["spec"])[:60] if isinstance(value, dict) else "",
)
def test_bad_objects_are_refused_with_the_field_and_the_reason(
    definitions: Definitions, bad: Mapping[str, Any], field: str, message: str | None
) -> None:
    (cause,) = definitions.judge(bad)
    assert cause.field == field
    assert message in (None, cause.message)


def test_kubectl_apply_prints_our_sentence(definitions: Definitions) -> None:
    bad = client(redirectURIs=["https://shop.example.com/cb", "https://*.example.com/cb"])
    said = definitions.refused("apply", "-f", "-", stdin=json.dumps(bad)).stderr
    assert said == (
        'The OIDCClient "shop" is invalid: spec.redirectURIs[1]: Invalid value: "string":'
        " `https://*.example.com/cb` contains a wildcard; list every URI in full, they are compared"
        " exactly\n"
    )


def test_a_password_in_the_place_of_its_hash_is_not_repeated(definitions: Definitions) -> None:
    for password in ("correct horse battery staple", "correct horse battery staple" * 40):
        bad = user(passwordHash=password)
        said = definitions.refused("apply", "-f", "-", stdin=json.dumps(bad))
        assert "spec.passwordHash" in said.stderr
        assert "horse" not in said.stderr + said.stdout


FIXED_CLIENT = Cause(
    "spec.clientID",
    "cannot be changed, applications are known by it; delete the object and create another",
)
FIXED_USER = Cause(
    "spec.userID",
    "cannot be changed, applications know the person by it; delete the object and create another",
)
FIXED_STATE = (
    "cannot be changed, this is about one person for ever; delete the object and create another"
)


@pytest.mark.parametrize(
    ("item", "change", "cause"),
    [
        (client(), {"clientID": "other"}, FIXED_CLIENT),
        (client(), {"clientID": None}, Cause("spec.clientID", "Required value")),
        (client(), None, Cause("spec", "Required value")),
        (user(), {"userID": "other"}, FIXED_USER),
        (user(userID="u-1"), {"userID": "u-2"}, FIXED_USER),
        (user(userID="u-1"), {"userID": None}, FIXED_USER),
        (user(userID="u-1"), {"userID": ""}, FIXED_USER),
        (user(), None, Cause("spec", "Required value")),
        (state(), {"userID": "8"}, Cause("spec.userID", FIXED_STATE)),
        (state(), {"connector": "local"}, Cause("spec.connector", FIXED_STATE)),
        (state(), {"connector": None}, Cause("spec.connector", "Required value")),
    ],
)
def test_what_tokens_name_cannot_be_changed_nor_unset(
    definitions: Definitions, item: dict[str, Any], change: dict[str, Any] | None, cause: Cause
) -> None:
    definitions.create(item)
    assert cause in definitions.change(item, change)
    assert definitions.read(item)["spec"].items() >= item["spec"].items()


def test_saying_the_user_id_that_was_meant_anyway_is_no_change(definitions: Definitions) -> None:
    definitions.create(user())
    assert definitions.change(user(), {"userID": "jane"}) == []
    assert definitions.change(user(), {"userID": None}) == []
    assert definitions.change(user(), {"email": "new@example.com", "locked": True}) == []


def test_defaults_are_filled_in(definitions: Definitions) -> None:
    definitions.create(client(secretRef={"name": "s"}))
    assert definitions.read(client())["spec"] == {
        "clientID": "shop",
        "public": False,
        "secretRef": {"name": "s", "key": "clientSecret"},
    }
    definitions.create(user(passwordHash=None, passwordHashRef={"name": "jane"}))
    assert definitions.read(user())["spec"] == {
        "email": "jane@example.com",
        "emailVerified": True,
        "locked": False,
        "passwordHashRef": {"name": "jane", "key": "passwordHash"},
    }


@pytest.mark.covers("R-2")
def test_redirect_uris_are_judged_as_the_server_judges_them(definitions: Definitions) -> None:
    """Never stricter, and where both refuse, the server's sentence is among those told."""
    judged = _judged(definitions, list(dict.fromkeys(_redirect_uris())))
    weaker = []
    for uri, told in judged.items():
        refusal = _refusal(uri)
        if refusal is None:
            assert told == [], uri
        elif told:
            assert any(sentence.endswith(refusal) for sentence in told), (uri, refusal, told)
        else:
            weaker.append(uri)
    assert len(judged) > 1500
    assert len(weaker) < len(judged) / 100, weaker


def test_the_most_that_the_limits_allow_is_within_the_cost_budget(definitions: Definitions) -> None:
    for start in ("https://app.example.com/{}/", "com.example.app:/{}/", "https://{}.a/"):
        uris = [start.format(i).ljust(LONGEST_URI, "b") for i in range(MOST_URIS)]
        assert definitions.judge(client(public=True, redirectURIs=uris)) == []
    bad = [f"HTTP:\\{i}#*@".ljust(LONGEST_URI, "b") for i in range(MOST_URIS)]
    assert len(definitions.judge(client(redirectURIs=bad))) >= MOST_URIS


def _refusal(uri: str) -> str | None:
    try:
        check_redirect_uri(uri)
    except ValueError as error:
        return str(error)
    return None


def _redirect_uris() -> Iterator[str]:
    """Yield those of the vectors, and texts made of the parts that URLs are made of."""
    yield from GOOD_ANYWHERE
    for family in (hostile_to_exact, hostile_to_loopback, hostile_to_registered_loopback):
        yield from (uri for _, uri in family() if len(uri) <= LONGEST_URI)
    chosen = random.Random(4)
    parts = (
        "http", "https", "com.a", "://", ":/", ":", "[", "]", "::1", "a", "-", ".", "80", "99999",
        "?", "/", "@", "#", "%", "_", "~", "x.y", "0", "*", " ", "\\", "é", "65535", "1.2.3.4",
    )  # fmt: skip
    for _ in range(800):
        yield "".join(chosen.choices(parts, k=chosen.randint(1, 8)))
        start = chosen.choice(("http://", "https://", "c.d://"))
        yield start + "".join(chosen.choices(parts, k=chosen.randint(0, 6)))


def _judged(definitions: Definitions, uris: list[str]) -> dict[str, list[str]]:
    """Return what the API server says of each, asking of as many at a time as it takes."""
    told: dict[str, list[str]] = {uri: [] for uri in uris}
    for start in range(0, len(uris), MOST_URIS):
        some = uris[start : start + MOST_URIS]
        for cause in definitions.judge(client(public=True, redirectURIs=some)):
            place = cause.field.removeprefix("spec.redirectURIs[").removesuffix("]")
            told[some[int(place)]].append(cause.message)
    return told

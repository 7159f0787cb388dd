"""Static clients and static passwords."""

import base64
from collections.abc import Callable

import pytest

from connectors.local import LocalUser, LocalUsers
from idp.login.usernames import canonical
from idp.settings import Problem, Settings

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]

BCRYPT = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
ARGON2 = (
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA"
    "$4p1pmU2kcnbKIDy6MSnwmAo8W/5bqnIsU0QjDLaKHpE"
)
SECRET = "0123456789abcdef"


def test_a_client_in_full(read: Read) -> None:
    settings = read(
        "staticClients:\n"
        "- id: app\n  name: The app\n  secret: 0123456789abcdef\n"
        "  redirectURIs: ['https://app.example/cb']\n  trustedPeers: [cli]\n"
        "  logoURL: https://app.example/logo.png\n  clientCredentialsClaims: {groups: [bots]}\n"
        "- {id: cli, public: true, redirectURIs: ['http://localhost:8000']}\n"
    )
    app, cli = settings.static_clients
    assert settings.warnings == ()
    assert app.name == "The app"
    assert app.trusted_peers == ("cli",)
    assert app.client_credentials_claims.groups == ("bots",)
    assert (cli.name, cli.public, cli.secret) == ("cli", True, None)


@pytest.mark.parametrize(
    ("client", "key", "hint"),
    [
        ("{public: true}", "id", "is required: the name by which the application"),
        ("{id: a}", "secret", "give `secret` or `secretEnv`, or say `public: true`"),
        ("{id: a, public: false}", "secret", "is required"),
        ("{id: a, secret: ''}", "secret", "is required"),
        ("{id: a, secret: ' 0123456789abcdef'}", "secret", "the value begins or ends with a space"),
        ("{id: a, secret: [hunter2]}", "secret", "must be text, but is a list"),
        ("{id: a, secret: hunter2hunter2hunter2, public: true}", "secret",
         "a public client has no secret; remove `secret` or `public`"),
        ("{id: é, public: true}", "id", "`é` must be at most 255 printable ASCII characters"),
        ("{id: " + "a" * 256 + ", public: true}", "id", "at most 255"),
        ("{id: a, public: true, name: {}}", "name", "must be text, but is a mapping"),
        ("{id: a, public: true, redirectURI: []}", "redirectURI", "did you mean `redirectURIs`?"),
        ("{id: a, public: true, idEnvv: x}", "idEnvv", "did you mean `idEnv`?"),
        ("{id: a, public: true, redirectURIs: 'https://a.example'}", "redirectURIs",
         "must be a list, but is a single value"),
        ("{id: a, public: true, trustedPeers: [1, {}]}", "trustedPeers[1]", "must be text"),
        ("{id: a, public: true, logoURL: 'data:image/png;base64,aa'}", "logoURL", "has no host"),
        ("{id: a, public: true, mfaChain: [b]}", "mfaChain",
         "`mfaChain` is a key of Dex that kube-idp does not serve yet; remove it"),
        ("{id: a, public: true, clientCredentialsClaims: {group: [b]}}",
         "clientCredentialsClaims.group", "did you mean `groups`?"),
    ],
)  # fmt: skip
def test_bad_clients_are_refused(refuse: Refuse, client: str, key: str, hint: str) -> None:
    (problem,) = refuse(f"staticClients:\n- {client}")
    assert (problem.path, problem.line) == (f"staticClients[0].{key}", 2)
    assert hint in problem.message
    assert "hunter2" not in problem.message


def test_ids_are_unique_even_when_they_are_written_as_numbers(refuse: Refuse) -> None:
    (problem,) = refuse("staticClients:\n- {id: 1, public: true}\n- {id: '1', public: true}\n")
    assert (problem.path, problem.line) == ("staticClients[1].id", 3)
    assert problem.message == "is already the id of `staticClients[0]`"


@pytest.mark.parametrize(
    ("client", "path", "hint"),
    [
        ("{id: a, secret: short, redirectURIs: ['https://a.example']}", ".secret",
         "is shorter than 16 characters"),
        ("{id: a, public: true}", "", "any program on the person's own machine may use it"),
        (f"{{id: a, secret: {SECRET}, redirectURIs: ['https://a.example'], trustedPeers: [x]}}",
         ".trustedPeers[0]", "is the id of no client in this file"),
        ("{id: a, public: true, redirectURIs: ['https://a.example'],"
         " clientCredentialsClaims: {groups: [b]}}", ".clientCredentialsClaims", "has no effect"),
    ],
)  # fmt: skip
def test_doubtful_clients_are_warned_of(read: Read, client: str, path: str, hint: str) -> None:
    (warning,) = read(f"staticClients:\n- {client}").warnings
    assert (warning.path, warning.line) == (f"staticClients[0]{path}", 2)
    assert hint in warning.message


def test_a_confidential_client_without_uris_needs_client_credentials(read: Read) -> None:
    client = f"staticClients: [{{id: a, secret: {SECRET}}}]"
    assert read(client).warnings == ()
    login = "enablePasswordDB: true\noauth2: {}\n"
    messages = [warning.message for warning in read(f"{client}\n{login}").warnings]
    assert any("can do nothing" in message for message in messages)


def _people(*people: str) -> str:
    return "enablePasswordDB: true\nstaticPasswords:\n" + "".join(f"- {one}\n" for one in people)


def test_a_password_in_full(read: Read) -> None:
    settings = read(
        _people(
            f"{{email: A@example.com, hash: '{BCRYPT}', username: a, name: Ann A,"
            " preferredUsername: ann, emailVerified: false, userID: 08a8684b, groups: [x, y]}}"[:-1]
        )
    )
    (person,) = settings.static_passwords
    assert settings.warnings == ()
    assert (person.email, person.username, person.name) == ("A@example.com", "a", "Ann A")
    assert (person.preferred_username, person.user_id) == ("ann", "08a8684b")
    assert (person.email_verified, person.groups) == (False, ("x", "y"))


def test_a_password_with_what_is_required_only(read: Read) -> None:
    (person,) = read(
        _people(f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1'}}")
    ).static_passwords
    assert (person.username, person.name, person.preferred_username) == ("", "", "")
    assert person.email_verified
    assert person.groups == ()


def _person_with(claims: str) -> str:
    return _people(f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1', claims: {claims}}}")


def test_what_else_is_said_of_a_person(read: Read) -> None:
    """As people write YAML: one value or several, numbers and booleans as they come."""
    claims = (
        "{department: engineering, teams: [a, b], badge: 7, updated_at: 1700000000,"
        " phone_number: '+49 221 1234', phone_number_verified: true, birthdate: 1990-01-31,"
        " address.locality: Köln, nothing: []}"
    )
    (person,) = read(_person_with(claims)).static_passwords
    assert person.claims == {
        "department": ("engineering",),
        "teams": ("a", "b"),
        "badge": ("7",),
        "updated_at": ("1700000000",),
        "phone_number": ("+49 221 1234",),
        "phone_number_verified": ("true",),
        "birthdate": ("1990-01-31",),
        "address.locality": ("Köln",),
        "nothing": (),
    }
    assert read(_person_with("")).static_passwords[0].claims == {}


@pytest.mark.parametrize(
    ("claims", "path", "hint"),
    [
        ("{sub: root}", ".sub", "has a field of its own"),
        ("{groups: [system:masters]}", ".groups", "has a field of its own"),
        ("{Groups: [system:masters]}", ".Groups", "has a field of its own"),
        ("{email_verified: true}", ".email_verified", "has a field of its own"),
        ("{ISS: x}", ".ISS", "is said by the provider itself; it cannot be set for a person"),
        ("{amr: [mfa]}", ".amr", "is said by the provider itself"),
        ("{address: here}", ".address", "is made of its members; set address.formatted"),
        ("{address.town: x}", '["address.town"]', "is no member of address"),
        ("{'a b': x}", '["a b"]', "is no name of a claim"),
        ("{updated_at: soon}", ".updated_at", "must be a number of seconds since 1970"),
        ("{phone_number_verified: 'yes'}", ".phone_number_verified", "must be true or false"),
        ("{given_name: [a, b]}", ".given_name", "can have one value only"),
        ("{department: {a: b}}", ".department[0]", "must be text, but is a mapping"),
        ("{department: ' x'}", ".department[0]", "begins or ends with a space"),
        ("[department]", "", "must be a mapping of keys, but is a list"),
    ],
)
def test_what_cannot_be_said_of_a_person_is_refused(
    refuse: Refuse, claims: str, path: str, hint: str
) -> None:
    problems = refuse(_person_with(claims))
    assert f"staticPasswords[0].claims{path}" in [problem.path for problem in problems]
    assert any(hint in problem.message for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (BCRYPT, BCRYPT),
        (BCRYPT.replace("$2a$10", "$2b$16"), BCRYPT.replace("$2a$10", "$2b$16")),
        (BCRYPT.replace("$2a", "$2y"), BCRYPT.replace("$2a", "$2y")),
        (base64.b64encode(BCRYPT.encode()).decode(), BCRYPT),
        (ARGON2, ARGON2),
    ],
)
def test_hashes_that_are_read(read: Read, text: str, kept: str) -> None:
    (person,) = read(
        _people(f"{{email: a@example.com, hash: '{text}', userID: '1'}}")
    ).static_passwords
    assert person.hash.get_secret_value() == kept


_NO_HASH = "the value cannot be used: a password hash is bcrypt"


@pytest.mark.covers("R-90")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hunter2", _NO_HASH),
        (BCRYPT[:-1], _NO_HASH),
        (BCRYPT + "x", _NO_HASH),
        (BCRYPT.replace("$2a", "$2x"), _NO_HASH),
        ("$5$rounds=5000$usesomesillystri$KqJWpanXZHKq2BOB43TSaYhEWsQ1Lr5QNyPCDH/Tp.6", _NO_HASH),
        (ARGON2.replace("argon2id", "argon2i"), _NO_HASH),
        (ARGON2.replace("v=19", "v=16"), _NO_HASH),
        (base64.b64encode(b"hunter2").decode(), _NO_HASH),
        ("äöü", _NO_HASH),
        (
            BCRYPT.replace("$10$", "$09$"),
            "a bcrypt hash has a cost of 10 to 16, this one has 9",
        ),
        (BCRYPT.replace("$10$", "$17$"), "this one has 17; make one with"),
        (ARGON2.replace("m=19456", "m=9999999"), "an Argon2id hash takes m=8 for each p"),
        (ARGON2.replace("t=2", "t=0"), _NO_HASH),
        (ARGON2.replace("m=19456,t=2,p=1", "m=99,t=2,p=99"), "an Argon2id hash takes m=8"),
    ],
)
def test_other_hashes_are_refused_and_never_shown(refuse: Refuse, text: str, hint: str) -> None:
    (problem,) = refuse(_people(f"{{email: a@example.com, hash: '{text}', userID: '1'}}"))
    assert (problem.path, problem.line) == ("staticPasswords[0].hash", 3)
    assert hint in problem.message
    assert text not in str(problem)


@pytest.mark.parametrize(
    ("person", "path", "hint"),
    [
        (f"{{hash: '{BCRYPT}', userID: '1'}}", ".email", "is required: what the person types"),
        ("{email: a@example.com, userID: '1'}", ".hash", "is required: a bcrypt or argon2id hash"),
        (f"{{email: a@example.com, hash: '{BCRYPT}'}}", ".userID", "it decides `sub`"),
        (f"{{email: a@example.com, hash: '{BCRYPT}', userId: '1'}}", ".userId", "mean `userID`?"),
        (f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1', groups: x}}", ".groups",
         "must be a list"),
        (f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1', emailVerified: 1}}",
         ".emailVerified", "must be true or false"),
        (f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1', hashFromEnvv: A}}",
         ".hashFromEnvv", "did you mean `hashFromEnv`?"),
    ],
)  # fmt: skip
def test_bad_people_are_refused(refuse: Refuse, person: str, path: str, hint: str) -> None:
    problems = {problem.path: problem for problem in refuse(_people(person))}
    assert hint in problems[f"staticPasswords[0]{path}"].message
    assert problems.keys() <= {f"staticPasswords[0]{path}", "staticPasswords[0].userID"}


@pytest.mark.covers("R-68")
@pytest.mark.parametrize("other", ["Ann@Example.com", "ＡＮＮ@example.com", "ann@example.com"])
def test_people_are_unique_by_email_without_regard_to_case_and_width(
    refuse: Refuse, other: str
) -> None:
    (problem,) = refuse(
        _people(
            f"{{email: ann@example.com, hash: '{BCRYPT}', userID: '1'}}",
            f"{{email: '{other}', hash: '{BCRYPT}', userID: '2'}}",
        )
    )
    assert problem.path == "staticPasswords[1].email"
    assert problem.message == "is already the email of `staticPasswords[0]`"


@pytest.mark.parametrize("flag", ["", "enablePasswordDB: false\n"])
def test_passwords_need_the_password_database(refuse: Refuse, flag: str) -> None:
    people = _people(f"{{email: a@example.com, hash: '{BCRYPT}', userID: '1'}}")
    (problem,) = refuse(people.replace("enablePasswordDB: true\n", flag))
    assert problem.path in {"staticPasswords", "enablePasswordDB"}
    assert "true" in problem.message


def test_two_people_never_share_a_sub(refuse: Refuse) -> None:
    (problem,) = refuse(
        _people(
            f"{{email: ann@example.com, hash: '{BCRYPT}', userID: 1}}",
            f"{{email: bob@example.com, hash: '{BCRYPT}', userID: '1'}}",
        )
    )
    assert problem.path == "staticPasswords[1].userID"
    assert problem.message == "is already the userID of `staticPasswords[0]`"


@pytest.mark.parametrize("email", ["a\u200db@example.com", "x" * 256, "\u0131\u05d0\u0661"])
def test_nobody_has_a_name_that_cannot_be_typed_in(refuse: Refuse, email: str) -> None:
    (problem,) = refuse(_people(f"{{email: '{email}', hash: '{BCRYPT}', userID: '1'}}"))
    assert problem.path == "staticPasswords[0].email"
    assert "cannot be signed in with" in problem.message


def test_a_name_that_is_no_email_address_is_warned_of(read: Read) -> None:
    (warning,) = read(_people(f"{{email: admin, hash: '{BCRYPT}', userID: '1'}}")).warnings
    assert warning.path == "staticPasswords[0].email"
    assert "is not an email address" in warning.message


def test_whoever_is_accepted_here_is_accepted_by_the_connector(read: Read) -> None:
    people = read(
        _people(
            f"{{email: Ann@Example.com, hash: '{BCRYPT}', userID: '1'}}",
            f"{{email: 日本@example.com, hash: '{ARGON2}', userID: '2'}}",
        )
    ).static_passwords
    users = LocalUsers.of(
        [
            LocalUser(
                email=person.email,
                password_hash=person.hash.get_secret_value(),
                user_id=person.user_id,
            )
            for person in people
        ],
        canonical=canonical,
    )
    assert users.with_email("ann@example.com")
    assert users.with_email("日本@example.com")

"""From a `LocalUser` as somebody wrote it to a person who can sign in."""

from dataclasses import replace
from datetime import datetime

from connectors.local import LocalUser
from idp.login.usernames import canonical
from idp.oauth.claim_names import check_name
from idp.oauth.claim_values import check_values
from idp.objects.secret_values import text_of, unusable
from idp.objects.spec_reader import SpecReader
from idp.objects.user_states import checked_instant
from idp.objects.verdicts import BadSecret, Claim, GoodSecret, Judged, SecretNeed, SecretReading
from idp.settings.password_hashes import check_password_hash
from idp.settings.people import check_sign_in_name
from storage.objects import WrittenObject

EMAIL = "email address"
USER_ID = "user id"
"""What only one person can have."""

HASH_ENTRY = "passwordHash"

NOT_BEFORE = "kube-idp.dev/not-before"
"""The annotation by which an administrator ends what a person has: an instant."""


def user_claims(written: WrittenObject) -> tuple[Claim, ...]:
    """Return the address and the id that the object claims, even if nothing else is right."""
    spec = SpecReader(written.spec)
    email, user_id = _email(spec), _user_id(spec, written)
    claims = [Claim(EMAIL, canonical(email))] if email else []
    return (*claims, Claim(USER_ID, user_id)) if user_id else tuple(claims)


def user_need(written: WrittenObject) -> SecretNeed | None:
    """Return which Secret the password hash is in, if it is in one."""
    spec = SpecReader(written.spec)
    if not spec.has("passwordHashRef"):
        return None
    reference = spec.section("passwordHashRef")
    name = reference.text("name")
    key = reference.text("key", default=HASH_ENTRY)
    return SecretNeed(name=name, key=key, field="spec.passwordHashRef") if name and key else None


def signed_out_at(written: WrittenObject) -> datetime | None:
    """Return before when logins of the person count no more, by an annotation of the object.

    Raises ValueError for an annotation that is no instant.
    """
    said = written.annotations.get(NOT_BEFORE, "").strip()
    return datetime.fromisoformat(checked_instant(said)) if said else None


def is_locked(written: WrittenObject) -> bool:
    """Return whether the object locks its person out, even if nothing else in it is right.

    What is neither true nor false locks too: somebody meant something by it. So does an annotation
    that should end logins and does not say which.
    """
    spec = SpecReader(written.spec)
    locked = spec.flag("locked", default=False)
    return locked or bool(spec.problems) or bool(_annotation_problem(written))


def _annotation_problem(written: WrittenObject) -> str:
    try:
        signed_out_at(written)
    except ValueError as error:
        return f"The annotation {NOT_BEFORE} {error}; until then the person is locked out."
    return ""


_SWITCHED_OFF = (
    "Local users cannot sign in here: the provider's configuration has `enablePasswordDB: false`."
    " Ask its operator to switch that on."
)


def judge_user(
    written: WrittenObject, secret: SecretReading | None, *, signs_in: bool
) -> Judged[LocalUser]:
    """Return the person, or what is wrong with the object.

    `secret` is what `user_need` asked for, None while nobody has read it yet. `signs_in` tells
    whether the operator lets local users sign in at all.
    """
    if not signs_in:
        return Judged(value=None, problems=(_SWITCHED_OFF,))
    spec = SpecReader(written.spec)
    referenced = _check_password_source(spec)
    user = LocalUser(
        email=_email(spec),
        password_hash="" if referenced else spec.text("passwordHash", check_password_hash),
        user_id=_user_id(spec, written),
        username=spec.text("username"),
        name=spec.text("name"),
        preferred_username=spec.text("preferredUsername"),
        email_verified=spec.flag("emailVerified", default=True),
        groups=spec.texts("groups"),
        claims=_person_claims(spec.section("claims")),
        locked=spec.flag("locked", default=False),
    )
    if problem := _annotation_problem(written):
        spec.problems.append(problem)
    if spec.problems:
        return Judged(value=None, problems=tuple(spec.problems))
    if not referenced:
        return Judged(value=user)
    if secret is None:
        return Judged(value=None)
    found = _hash_in(secret)
    if isinstance(found, BadSecret):
        return Judged(value=None, bad_secret=found)
    return Judged(value=replace(user, password_hash=found))


def _check_password_source(spec: SpecReader) -> bool:
    """Return whether the hash is in a Secret, after noting what is wrong with saying so."""
    given, referenced = spec.has("passwordHash"), spec.has("passwordHashRef")
    if given and referenced:
        spec.refuse("passwordHashRef", "is given beside spec.passwordHash; remove one of the two")
    elif referenced:
        reference = spec.section("passwordHashRef")
        reference.needed("name", str, "the name of a Secret in this namespace")
        reference.text("key")
    else:
        spec.needed(
            "passwordHash",
            str,
            "make one with `idp hash-password`, or name a Secret that holds it in"
            " spec.passwordHashRef",
        )
    return referenced


def _email(spec: SpecReader) -> str:
    return spec.needed("email", check_sign_in_name, "what the person types to sign in")


def _user_id(spec: SpecReader, written: WrittenObject) -> str:
    return spec.text("userID", default=written.name)


def _person_claims(claims: SpecReader) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what is said of the person besides, after noting what cannot be said."""
    found = []
    for name in claims.names():
        values = claims.texts(name)
        try:
            check_values(check_name(name), values)
        except ValueError as error:
            claims.refuse(name, str(error))
        if values:
            found.append((name, values))
    return tuple(found)


def _hash_in(secret: SecretReading) -> str | BadSecret:
    if isinstance(secret, BadSecret):
        return secret
    # A line break at the end is no part of any hash, and easily written.
    text = text_of(GoodSecret(secret.value.strip(), secret.where))
    if isinstance(text, BadSecret):
        return text
    try:
        return check_password_hash(text)
    except ValueError as error:
        return unusable(secret, str(error))

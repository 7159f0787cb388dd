"""Sections about who uses the provider: `staticClients`, `staticPasswords`."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from idp.login.usernames import canonical
from idp.settings.client_policies import ClientPolicies
from idp.settings.fields import Flag, Secret, Text
from idp.settings.password_hashes import check_password_hash
from idp.settings.redirect_rules import check_redirect_uri
from idp.settings.section import Section

_VSCHAR = re.compile(r"[\x20-\x7e]{1,255}")


def check_client_id(text: str) -> str:
    """Return a client id unchanged. Raises ValueError, as the checks of fields do."""
    if not _VSCHAR.fullmatch(text):
        raise ValueError("must be at most 255 printable ASCII characters (RFC 6749 appendix A.1)")
    return text


class ClientCredentialsClaims(Section):
    """Claims of tokens that a client gets for itself."""

    groups: tuple[Text, ...] = ()


class StaticClient(ClientPolicies):
    """An application that signs people in. `name` is what they read; by default the id.

    `previous_secret` counts beside `secret` while the application is moved from one to the other.
    """

    id: Annotated[Text, AfterValidator(check_client_id)] = Field(
        description="the name by which the application introduces itself, or use `idEnv`"
    )
    secret: Secret | None = None
    previous_secret: Secret | None = None
    name: Text = Field(default_factory=lambda known: known.get("id", ""))
    public: Flag = False
    redirect_uris: tuple[Annotated[Text, AfterValidator(check_redirect_uri)], ...] = ()
    trusted_peers: tuple[Text, ...] = ()
    client_credentials_claims: ClientCredentialsClaims = ClientCredentialsClaims()


def check_sign_in_name(text: str) -> str:
    """Return what a person signs in with unchanged. Raises ValueError."""
    try:
        canonical(text)
    except ValueError as error:
        raise ValueError(f"cannot be signed in with: {error}") from None
    return text


def _password_hash(value: Any) -> Any:
    return SecretStr(check_password_hash(value.strip())) if isinstance(value, str) else value


def _claim_text(value: Any) -> Any:
    """Take `true` and `false` for the texts that they are written as: claims are texts here."""
    return str(value).lower() if isinstance(value, bool) else value


ClaimText = Annotated[Text, BeforeValidator(_claim_text)]


def _one_or_several(value: Any) -> Any:
    """Take a single value for a list of one."""
    return value if isinstance(value, tuple) or value is None else (value,)


class StaticPassword(Section):
    """A person who signs in with an email address and a password.

    `name` and `preferred_username` are empty when not given; the connector decides what then.
    `claims` is what else is said of the person, by the names of claims.
    """

    email: Annotated[Text, AfterValidator(check_sign_in_name)] = Field(
        description="what the person types to sign in"
    )
    hash: Annotated[SecretStr, BeforeValidator(_password_hash)] = Field(
        description="a bcrypt or argon2id hash, made with `idp hash-password`, or use `hashFromEnv`"
    )
    username: Text = ""
    name: Text = ""
    preferred_username: Text = ""
    email_verified: Flag = True
    user_id: Text = Field(
        description="it decides `sub`, by which applications know the person: write any text that"
        " no other person has and never change it, for example a UUID"
    )
    groups: tuple[Text, ...] = ()
    claims: dict[str, Annotated[tuple[ClaimText, ...], BeforeValidator(_one_or_several)]] = Field(
        default_factory=dict
    )

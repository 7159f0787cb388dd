"""How a person proved who they are, as tokens say it: `acr` and `amr` (OIDC Core section 2)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationMethod:
    """A way to sign in. Both are claimed only where they are true; empty means not known.

    `acr` names the class of the authentication, `amr` its means (RFC 8176 section 2).
    """

    acr: str = ""
    amr: tuple[str, ...] = ()


UNKNOWN = AuthenticationMethod()
"""Nobody says how the person signed in, so nothing is claimed of it."""

PASSWORD = AuthenticationMethod(
    acr="urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", amr=("pwd",)
)
"""A password typed on our own page. The class is the registered name of just that (SAML 2.0
Authentication Context, section 3.4.15); others map from it already."""

ACR_VALUES_SUPPORTED = (PASSWORD.acr,)
"""`acr_values_supported` of discovery. What is asked for is voluntary: the true one is claimed."""

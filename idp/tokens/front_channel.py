"""What the authorization endpoint itself answers: a code, tokens, or both (OIDC Core, 3.2, 3.3)."""

from idp.oauth.response_types import CODE, ID_TOKEN, TOKEN, has
from idp.tokens.authorization import Authorization
from idp.tokens.issue import TokenIssuer


def front_channel_answer(
    issuer: TokenIssuer, authorization: Authorization, *, response_type: str, code: str
) -> dict[str, str]:
    """Return the members of a successful answer, as they stand in a URL or a form.

    OIDC Core sections 3.2.2.5 and 3.3.2.5. `code` is issued only where the type asks for one. The
    ID token is bound to what comes beside it by `c_hash` and `at_hash` (section 3.3.2.11).
    """
    answer: dict[str, str] = {}
    if has(response_type, CODE):
        answer["code"] = code
    access_token = ""
    if has(response_type, TOKEN):
        access_token = issuer.access_token(authorization)
        answer |= {
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": str(issuer.expires_in(authorization)),
        }
        if authorization.scopes:
            answer["scope"] = " ".join(authorization.scopes)
    if has(response_type, ID_TOKEN):
        answer["id_token"] = issuer.id_token(
            authorization, access_token=access_token, code=answer.get("code", "")
        )
    return answer

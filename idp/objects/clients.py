"""From an `OIDCClient` as somebody wrote it to a client that is served."""

from dataclasses import replace

from idp.oauth.client import Client, secret_hash
from idp.objects.secret_values import previous_text_of, text_of
from idp.objects.spec_reader import SpecReader
from idp.objects.verdicts import BadSecret, Claim, Judged, SecretNeed, SecretReading
from idp.settings.client_policies import policies_in
from idp.settings.client_rules import ClientTerms, proves_by_key
from idp.settings.doubts import SHORTEST_SECRET
from idp.settings.people import check_client_id
from idp.settings.problems import shown
from idp.settings.redirect_rules import OUT_OF_BAND, check_redirect_uri, doubt_about
from storage.objects import WrittenObject

CLIENT_ID = "client id"
"""What only one client can have."""

ID_ENTRY = "clientID"
SECRET_ENTRY = "clientSecret"  # noqa: S105 - the name of an entry
PREVIOUS_ENTRY = "previousClientSecret"
"""The entries of a generated Secret; the last two are also where a named one is looked into."""


def generated_secret_name(name: str) -> str:
    """Return the name of the Secret that is made for an object, whatever its status says.

    Status may be written by others than those who may read Secrets.
    """
    return f"{name}-oidc-client"


def client_claims(written: WrittenObject) -> tuple[Claim, ...]:
    """Return the client id that the object claims, even if nothing else in it is right."""
    client_id = _client_id(SpecReader(written.spec))
    return (Claim(CLIENT_ID, client_id),) if client_id else ()


def client_need(written: WrittenObject, *, generates: bool) -> SecretNeed | None:
    """Return which Secret the client's own secret is in."""
    spec = SpecReader(written.spec)
    if spec.has("secretRef"):
        reference = spec.section("secretRef")
        name = reference.text("name")
        key = reference.text("key", default=SECRET_ENTRY)
        previous = reference.text("previousKey", default=PREVIOUS_ENTRY)
        if not name or not key:
            return None
        return SecretNeed(name=name, key=key, field="spec.secretRef", previous_key=previous)
    client_id = _client_id(spec)
    keeps_secret = not spec.flag("public", default=False) and not proves_by_key(spec.fields)
    if not generates or not client_id or not keeps_secret:
        return None
    return SecretNeed(
        name=generated_secret_name(written.name),
        key=SECRET_ENTRY,
        field="spec.secretRef",
        client_id=client_id,
        previous_key=PREVIOUS_ENTRY,
    )


def judge_client(
    written: WrittenObject,
    secret: SecretReading | None,
    *,
    generates: bool,
    terms: ClientTerms,
) -> Judged[Client]:
    """Return the client, or what is wrong with the object.

    `secret` is what `client_need` asked for, None while nobody has read it yet. `generates` tells
    whether the operator lets secrets be made, `terms` what can be had from this provider.
    """
    spec = SpecReader(written.spec)
    client_id = _client_id(spec)
    public = spec.flag("public", default=False)
    redirect_uris = spec.texts("redirectURIs", check_redirect_uri)
    keeps_secret = not public and not proves_by_key(spec.fields)
    if public and spec.has("secretRef"):
        spec.refuse("secretRef", "is for clients that have a secret; remove it, or spec.public")
    elif keeps_secret:
        _check_secret_reference(spec, generates=generates)
    if OUT_OF_BAND in redirect_uris and not public:
        spec.refuse("redirectURIs", f"holds {OUT_OF_BAND}, which is for public clients only")
    client = Client(
        id=client_id,
        name=spec.text("name", default=client_id),
        redirect_uris=redirect_uris,
        trusted_peers=frozenset(spec.texts("trustedPeers")),
        credentials_groups=spec.section("clientCredentialsClaims").texts("groups"),
    )
    policies, problems = policies_in(spec.fields, ("spec",), terms)
    if spec.problems or policies is None:
        return Judged(value=None, problems=(*spec.problems, *problems))
    client = policies.said_of(client)
    doubts = _doubts(redirect_uris)
    if not keeps_secret:
        return Judged(value=client, doubts=doubts)
    if secret is None:
        return Judged(value=None)
    text = text_of(secret)
    if isinstance(text, BadSecret):
        return Judged(value=None, bad_secret=text)
    return _with_secrets(client, text, _previous(written, secret, generates=generates), doubts)


def _previous(
    written: WrittenObject, secret: SecretReading, *, generates: bool
) -> str | BadSecret | None:
    need = client_need(written, generates=generates)
    if need is None or isinstance(secret, BadSecret):
        return None
    return previous_text_of(secret, need)


def _with_secrets(
    client: Client, text: str, previous: str | BadSecret | None, doubts: tuple[str, ...]
) -> Judged[Client]:
    """Return the client with its secret, and with the one before if that can be used."""
    if len(text) < SHORTEST_SECRET:
        doubts += (f"The secret has fewer than {SHORTEST_SECRET} characters and may be guessed.",)
    if isinstance(previous, BadSecret):
        doubts += (previous.message,)
    texts = [text, previous] if isinstance(previous, str) else [text]
    client = replace(client, secret_hashes=tuple(map(secret_hash, texts)))
    return Judged(value=client, doubts=doubts)


def _client_id(spec: SpecReader) -> str:
    return spec.needed(
        "clientID", check_client_id, "the name by which the application introduces itself"
    )


def _check_secret_reference(spec: SpecReader, *, generates: bool) -> None:
    if spec.has("secretRef"):
        reference = spec.section("secretRef")
        reference.needed("name", str, "the name of a Secret in this namespace")
        reference.text("key")
        reference.text("previousKey")
    elif not generates:
        spec.refuse(
            "secretRef",
            "is required: name a Secret that holds the client's secret, or set spec.public to true"
            " if the application cannot keep one; the operator of the provider can also let"
            " secrets be made, with storage.config.generateClientSecrets",
        )


def _doubts(redirect_uris: tuple[str, ...]) -> tuple[str, ...]:
    found = ((i, uri, doubt_about(uri)) for i, uri in enumerate(redirect_uris))
    return tuple(
        f"spec.redirectURIs[{i}] {shown(uri)} {doubt}." for i, uri, doubt in found if doubt
    )

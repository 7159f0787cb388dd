"""Rules about several keys at once.

They read the plain values, not the models, so that a mistake in one key does not hide another:
whoever starts the server with a bad file gets everything that is wrong in one answer. Values of
the wrong type are the models' business; here they simply do not match.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from idp.durations import parse_duration
from idp.keys.jwks import ALGORITHMS
from idp.login.usernames import canonical
from idp.oauth.claim_names import check_name
from idp.oauth.claim_values import check_values
from idp.oauth.response_types import IMPLICIT, carries_tokens
from idp.settings.client_rules import ClientTerms, client_findings, proves_by_key
from idp.settings.draft import Draft, is_true, mapping_at, sequence_at, value_at
from idp.settings.fields import Address, ListenAddress
from idp.settings.ldap_rules import check_directory
from idp.settings.problems import KeyPath, written
from idp.settings.redirect_rules import OUT_OF_BAND

_SECOND = timedelta(seconds=1)
_ADDRESS: TypeAdapter[Address] = TypeAdapter(ListenAddress)


def check_rules(draft: Draft) -> None:
    """Note in the draft whatever breaks a rule."""
    for rule in (
        _cluster,
        _sealing_keys,
        _listeners,
        _tls,
        _proxies,
        _rotation,
        _longest_tokens,
        _clients,
        _passwords,
        _connectors,
        _workers,
        _implicit,
        _ways_to_sign_in,
        _registration,
    ):
        rule(draft)


def _cluster(draft: Draft) -> None:
    if value_at(draft.value, "storage", "type") != "kubernetes":
        return
    place = ("storage", "config")
    config = mapping_at(draft.value, *place)
    inside = is_true(config.get("inCluster"))
    if inside and "kubeConfigFile" in config:
        draft.refuse(
            (*place, "kubeConfigFile"),
            "is for a server outside of the cluster; remove it, or `inCluster`",
        )
    elif not inside and "kubeConfigFile" not in config:
        draft.refuse(
            place,
            "needs `inCluster: true` for a server in a pod, or `kubeConfigFile`, the path of a"
            " kubeconfig",
        )


def _sealing_keys(draft: Draft) -> None:
    if value_at(draft.value, "storage", "type") != "kubernetes":
        return
    place = ("storage", "config")
    config = mapping_at(draft.value, *place)
    given = [key for key in ("keyFile", "keyEnv", "keySecret") if key in config]
    for key in given[1:]:
        draft.refuse(
            (*place, key),
            f"the sealing keys come from `{given[0]}` already; remove one of the two",
        )


def _listeners(draft: Draft) -> None:
    web = mapping_at(draft.value, "web")
    if web and "http" not in web and "https" not in web:
        draft.refuse(("web",), "needs `http` or `https`, an address to listen on")
    taken: dict[Address, KeyPath] = {}
    for path in (("web", "http"), ("web", "https"), ("telemetry", "http")):
        address = _address(value_at(draft.value, *path))
        if address and address.port and address in taken:
            draft.refuse(path, f"is the address of `{written(taken[address])}`; choose another")
        elif address:
            taken[address] = path


def _address(value: Any) -> Address | None:
    try:
        return _ADDRESS.validate_python(value)
    except ValidationError:
        return None


def _tls(draft: Draft) -> None:
    web = mapping_at(draft.value, "web")
    if "https" in web:
        for key in ("tlsCert", "tlsKey"):
            if key not in web:
                draft.refuse(("web", key), "is required with `https`: the path of a PEM file")
    if web.get("tlsMinVersion") == "1.3" and web.get("tlsMaxVersion") == "1.2":
        draft.refuse(("web", "tlsMinVersion"), "is above `tlsMaxVersion`")


def _proxies(draft: Draft) -> None:
    place = ("web", "clientRemoteIP")
    found = mapping_at(draft.value, *place)
    if "header" in found and not found.get("trustedProxies"):
        draft.refuse(
            (*place, "header"),
            "needs `trustedProxies`: without it anybody could claim any address",
        )


def _rotation(draft: Draft) -> None:
    old = ("expiry", "signingKeys")
    new = ("signer", "config", "keysRotationPeriod")
    given = [path for path in (old, new) if value_at(draft.value, *path) is not None]
    if len(given) == 2:
        draft.refuse(old, f"is the old name of `{written(new)}`, which is given too; remove it")
    cache = value_at(draft.value, "expiry", "keyCacheFor") or "60s"
    for path in given:
        if _is_too_short(value_at(draft.value, *path), cache):
            draft.refuse(
                path,
                "must be at least twice `expiry.keyCacheFor`: the next key has to be known"
                " to everybody before it signs",
            )
    if is_true(value_at(draft.value, "expiry", "refreshTokens", "disableRotation")):
        draft.refuse(
            ("expiry", "refreshTokens", "disableRotation"),
            "rotation is always on, with a grace of `reuseInterval`; remove this key",
        )


def _is_too_short(period: Any, cache: Any) -> bool:
    length, kept = _duration(period), _duration(cache)
    # Less than a second is refused by the model, with another reason.
    return length is not None and kept is not None and _SECOND <= length < 2 * kept


def _clients(draft: Draft) -> None:
    terms = _terms(draft)
    for path, client in _items(draft, "staticClients"):
        public = client.get("public", False)
        if is_true(public) and "secret" in client:
            draft.refuse(
                (*path, "secret"), "a public client has no secret; remove `secret` or `public`"
            )
        if public in (False, "false") and "secret" not in client and not proves_by_key(client):
            draft.refuse(
                (*path, "secret"),
                "is required: give `secret` or `secretEnv`, or say `public: true`",
            )
        if "previousSecret" in client and "secret" not in client:
            draft.refuse((*path, "previousSecret"), "counts only beside `secret`; remove it")
        uris = sequence_at(client, "redirectURIs")
        if OUT_OF_BAND in uris and not is_true(public):
            place = (*path, "redirectURIs", uris.index(OUT_OF_BAND))
            draft.refuse(place, f"`{OUT_OF_BAND}` is for clients with `public: true` only")
        for finding in client_findings(client, path, terms):
            draft.refuse(finding.path, finding.message)
    _refuse_repeated(draft, "staticClients", "id")


def _terms(draft: Draft) -> ClientTerms:
    signer = mapping_at(draft.value, "signer", "config")
    given = mapping_at(draft.value, "expiry")
    additional = sequence_at(signer, "additionalAlgorithms")
    longest = given.get("longestTokens", given.get("idTokens", "1h"))
    return ClientTerms(
        algorithms={str(signer.get("algorithm", ALGORITHMS[0])), *map(str, additional)},
        longest_tokens=_duration(longest) or timedelta.max,
    )


def _longest_tokens(draft: Draft) -> None:
    given = mapping_at(draft.value, "expiry")
    longest, usual = _duration(given.get("longestTokens")), _duration(given.get("idTokens", "1h"))
    if longest is not None and usual is not None and longest < usual:
        draft.refuse(("expiry", "longestTokens"), "is shorter than `expiry.idTokens`")


def _duration(value: Any) -> timedelta | None:
    try:
        return parse_duration(str(value))
    except ValueError:
        return None


def _passwords(draft: Draft) -> None:
    if draft.value.get("staticPasswords") and "enablePasswordDB" not in draft.value:
        draft.refuse(("staticPasswords",), "needs `enablePasswordDB: true`")
    elif draft.value.get("staticPasswords") and draft.value["enablePasswordDB"] in (False, "false"):
        draft.refuse(("enablePasswordDB",), "must be true for `staticPasswords` to count")
    _refuse_repeated(draft, "staticPasswords", "email", _canonical)
    _refuse_repeated(draft, "staticPasswords", "userID")
    for path, person in _items(draft, "staticPasswords"):
        for name, said in mapping_at(person, "claims").items():
            values = said if isinstance(said, tuple) else (said,)
            try:
                check_values(check_name(name), tuple(str(value) for value in values))
            except ValueError as refusal:
                draft.refuse((*path, "claims", name), str(refusal))


def _connectors(draft: Draft) -> None:
    _refuse_repeated(draft, "connectors", "id")
    for path, connector in _items(draft, "connectors"):
        if connector.get("id") == "local" and is_true(draft.value.get("enablePasswordDB")):
            draft.refuse((*path, "id"), "`local` is the id of the connector of `enablePasswordDB`")
        if connector.get("type") == "ldap":
            check_directory(draft, (*path, "config"), passwords=("bindPW", "bindPWFile"))


def _workers(draft: Draft) -> None:
    workers = str(value_at(draft.value, "web", "workers"))
    several = workers.isdecimal() and len(workers) < 10 and int(workers) > 1
    if several and value_at(draft.value, "storage", "type") == "memory":
        draft.refuse(
            ("web", "workers"),
            "must be 1 with `storage.type: memory`, which processes cannot share",
        )


def _ways_to_sign_in(draft: Draft) -> None:
    grants = sequence_at(draft.value, "oauth2", "grantTypes")
    passwords = draft.value.get("enablePasswordDB") not in (None, False, "false")
    connectors = draft.value.get("connectors")
    if value_at(draft.value, "storage", "type") == "kubernetes":
        # Connectors may be objects of the cluster.
        return
    if not passwords and not connectors and "client_credentials" not in grants:
        draft.refuse(
            ("connectors",),
            "nobody could sign in: add a connector, or `enablePasswordDB` with `staticPasswords`",
        )


def _registration(draft: Draft) -> None:
    mode = value_at(draft.value, "registration", "mode")
    tokens = ("registration", "initialAccessTokens")
    given = sequence_at(draft.value, *tokens)
    if mode == "token" and not given:
        draft.refuse(tokens, "is required with `mode: token`: the tokens to register with")
    elif mode == "open" and given:
        draft.refuse(tokens, "is for `mode: token`; with `open` nobody is asked for one; remove it")


def _implicit(draft: Draft) -> None:
    grants = sequence_at(draft.value, "oauth2", "grantTypes")
    types = [str(text) for text in sequence_at(draft.value, "oauth2", "responseTypes")]
    if IMPLICIT in grants and not any(map(carries_tokens, types)):
        draft.refuse(
            ("oauth2", "grantTypes", grants.index(IMPLICIT)),
            "has no effect: implicit is switched on by `id_token` in `oauth2.responseTypes`",
        )


def _canonical(email: str) -> str:
    try:
        return canonical(email)
    except ValueError:
        return email


def _refuse_repeated(
    draft: Draft, section: str, key: str, form: Callable[[str], str] = str
) -> None:
    first: dict[str, KeyPath] = {}
    for path, item in _items(draft, section):
        value = item.get(key)
        if isinstance(value, str | int) and value != "":
            name = form(str(value))
            if name in first:
                draft.refuse((*path, key), f"is already the {key} of `{written(first[name])}`")
            first.setdefault(name, path)


def _items(draft: Draft, section: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    for i, item in enumerate(sequence_at(draft.value, section)):
        if isinstance(item, dict):
            yield (section, i), item

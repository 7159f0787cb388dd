"""Guessing at a directory through three replicas: it hears of few guesses, the store of none."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

import pytest

from tests.kit.directory_tree import BOB
from tests.kit.install.binaries import find_openldap
from tests.kit.ldap_scene import ldap_connector, user_search
from tests.kit.relying_party import read_form
from tests.kit.scene import kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.servers.slapd import Slapd
from tests.kit.sizes import sized

pytestmark = pytest.mark.servers

_GUESSES = sized(ci=1_500, full=10_000)
_GUESSERS = 6
_MOST_HEARD = 60
_SPELLINGS = ("bob", "BOB", "Bob", "bob@example.org", "Bob@Example.org", "BOB@EXAMPLE.ORG")
_FORWARDED = "X-Forwarded-For"


@pytest.fixture(scope="module")
def slapd(ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    directory = tmp_path_factory.mktemp("slapd")
    with Slapd(find_openldap(), directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority,
    store: KubernetesStore,
    slapd: Slapd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Replicas]:
    """Yield three replicas that take the address of a request from a proxy's header."""
    directory = tmp_path_factory.mktemp("replicas")
    search = {**user_search(), "username": ["uid", "mail"]}
    config = provider_config(
        directory,
        ca=ca,
        store=store,
        overrides={
            "connectors": [ldap_connector(slapd, userSearch=search)],
            "enablePasswordDB": False,
            "staticPasswords": [],
            "throttle": {"replicas": 3},
        },
    )
    remote = {"header": _FORWARDED, "trustedProxies": ["127.0.0.0/8"]}
    web = {**_mapping(config["web"]), "clientRemoteIP": remote}
    with Replicas({**config, "web": web}, directory=directory, ca=ca) as running:
        yield running


@pytest.mark.covers("R-72", "R-74")
@pytest.mark.timeout(900)
def test_directory_hears_of_few_guesses_and_the_known_browser_is_let_in(
    replicas: Replicas, slapd: Slapd, store: KubernetesStore
) -> None:
    """Each guess comes from an address of its own, the name is written in every way that leads."""
    numbers = itertools.count()
    with replicas.client() as http:
        party = kubernetes_party(http, replicas.issuer)
        party.sign_in(BOB.uid, BOB.password)
        before = slapd.mark()

        with store.api_requests.recorded() as recorded, ThreadPoolExecutor(_GUESSERS) as guessers:
            shares = [_GUESSES // _GUESSERS] * _GUESSERS
            answers = guessers.map(lambda share: _guess(replicas, share, numbers), shares)
            statuses = [status for each in answers for status in each]

        heard = [
            op for op in slapd.operations(since=before) if op.kind == "BIND" and op.dn == BOB.dn
        ]
        assert set(statuses) <= {401, 429}
        assert 1 <= len(heard) <= _MOST_HEARD
        assert recorded.writes == [], str(recorded)
        assert party.sign_in(BOB.uid, BOB.password).id_token
        print(f"{len(statuses)} guesses, {len(heard)} reached the directory")


def _guess(replicas: Replicas, count: int, numbers: Iterator[int]) -> list[int]:
    statuses = []
    with replicas.client() as http:
        url = kubernetes_party(http, replicas.issuer).depart().url
        form = read_form(http.get(url).text)
        for number in itertools.islice(numbers, count):
            answer = http.post(
                urljoin(url, form.action),
                data={
                    **form.fields,
                    "login": _SPELLINGS[number % len(_SPELLINGS)],
                    "password": f"guess {number}",
                },
                headers={
                    _FORWARDED: f"198.{18 + number // 62500}.{number // 250 % 250}.{number % 250}"
                },
            )
            statuses.append(answer.status_code)
    return statuses


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value

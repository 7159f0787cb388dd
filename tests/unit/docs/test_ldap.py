"""The beginnings that docs/ldap.md offers, and the object of docs/custom-resources.md, work."""

import re
from pathlib import Path

import pytest
import yaml

from connectors.ldap.connector import open_ldap
from idp.clock import system_clock
from idp.objects.connectors import connector_needs, judge_connector
from idp.objects.verdicts import GoodSecret
from idp.settings import parse
from idp.settings.ldap import LdapFile
from idp.settings.ldap_config import config_of_file
from tests.kit.objects import written
from tests.kit.servers.certificates import CertificateAuthority

DOCS = Path(__file__).parents[3] / "docs"
_REST = "issuer: https://login.example.com\nstorage: {type: memory}\nweb: {http: ':5556'}\n"
_PRESETS = dict(
    re.findall(
        r"^## ([^\n]*)\n\n```yaml\n(.*?)```", DOCS.joinpath("ldap.md").read_text(), re.S | re.M
    )
)


def test_there_is_one_for_each_directory_that_people_ask_for() -> None:
    assert list(_PRESETS) == ["OpenLDAP", "Active Directory", "FreeIPA", "389 Directory Server"]


@pytest.mark.parametrize("name", _PRESETS)
def test_each_is_a_connector_without_a_warning(name: str) -> None:
    settings = parse(_REST + _PRESETS[name], environ={}, directory=Path())
    assert settings.warnings == ()
    (connector,) = settings.connectors
    assert isinstance(connector.config, LdapFile)
    config = config_of_file(connector.config)
    assert config.security == "ldaps"
    opened = open_ldap(config, name=connector.id, now=system_clock)
    opened.close()


def test_the_object_is_a_connector_too() -> None:
    text = DOCS.joinpath("custom-resources.md").read_text()
    (example,) = (
        document
        for block in re.findall(r"```yaml\n(.*?)```", text, re.S)
        for document in yaml.safe_load_all(block)
        if document.get("kind") == "IdentityConnector"
    )
    object_ = written("identity-connectors", example["metadata"]["name"], example["spec"])
    needs = connector_needs(object_)
    assert [(need.name, need.key) for need in needs] == [
        ("corp-directory", "bindPW"),
        ("corp-ca", "ca.crt"),
    ]
    ca = CertificateAuthority.create().pem.encode()
    judged = judge_connector(object_, (GoodSecret(b"a password"), GoodSecret(ca)))
    assert judged.value is not None
    assert judged.problems == judged.doubts == ()

"""The configuration of a 389 Directory Server for tests, made from the package's own template."""

import base64
import hashlib
import os
import pwd
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kit.directory_tree import BASE, SERVICE, Attributes

ADMIN_DN = "cn=Directory Manager"
ADMIN_PASSWORD = "password of the directory manager"

_TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
_BACKEND = "people"
_DIRECTORIES = ("bak", "config", "db", "db_home", "inst", "ldif", "lock", "log", "run", "tmp")
# Its schema directory must be here, and have a file for definitions that are added at runtime.
_OWN_SCHEMA = """dn: cn=schema
objectClass: top
objectClass: ldapSubentry
objectClass: subschema
cn: schema
"""
# Added to the running server, which takes them in its configuration only from itself.
BACKEND: Sequence[tuple[str, Attributes]] = [
    (
        f"cn={_BACKEND},cn=ldbm database,cn=plugins,cn=config",
        {
            "objectClass": ["extensibleObject", "nsBackendInstance"],
            "cn": [_BACKEND],
            "nsslapd-suffix": [BASE],
        },
    ),
    (
        f'cn="{BASE}",cn=mapping tree,cn=config',
        {
            "objectClass": ["extensibleObject", "nsMappingTree"],
            "cn": [BASE],
            "nsslapd-state": ["backend"],
            "nsslapd-backend": [_BACKEND],
        },
    ),
]
READER_ACI = (
    '(targetattr!="userPassword")(version 3.0; acl "the service account reads";'
    f' allow (read, search, compare) userdn="ldap:///{SERVICE.dn}";)'
)


def write_configuration(directory: Path, *, port: int, tls_port: int) -> Path:
    """Write a new server's configuration below `directory`; return where it lies."""
    places = {f"{name}_dir": directory / name for name in _DIRECTORIES}
    for place in places.values():
        place.mkdir(parents=True)
    config = places["config_dir"]
    (config / "schema").mkdir()
    (config / "schema" / "99user.ldif").write_text(_OWN_SCHEMA)
    tokens = {name: str(place) for name, place in places.items()} | {
        "schema_dir": str(config / "schema"),
        "cert_dir": str(config),
        "fqdn": "localhost",
        "ds_port": str(port),
        "ds_user": pwd.getpwuid(os.geteuid()).pw_name,
        "ds_suffix": BASE,
        "rootdn": ADMIN_DN,
        "ds_passwd": _hashed(ADMIN_PASSWORD),
        "ldapi": str(directory / "ldapi"),
        "ldapi_enabled": "off",
        "ldapi_autobind": "off",
        "db_lib": "bdb",
    }
    text = re.sub(r"%(\w+)%", lambda found: tokens[found[1]], _TEMPLATE.read_text())
    for dn, attributes in _changes(tls_port).items():
        text = _changed(text, dn, attributes)
    (config / "dse.ldif").write_text(text)
    return config


def _changes(tls_port: int) -> Mapping[str, Mapping[str, str]]:
    return {
        "cn=config": {
            "nsslapd-security": "on",
            "nsslapd-securePort": str(tls_port),
            "nsslapd-listenhost": "127.0.0.1",
            "nsslapd-securelistenhost": "127.0.0.1",
        },
        "cn=MemberOf Plugin,cn=plugins,cn=config": {"nsslapd-pluginEnabled": "on"},
        # It would refuse the names of half the world.
        "cn=7-bit check,cn=plugins,cn=config": {"nsslapd-pluginEnabled": "off"},
        "cn=referential integrity postoperation,cn=plugins,cn=config": {
            "nsslapd-pluginEnabled": "on"
        },
        "cn=config,cn=ldbm database,cn=plugins,cn=config": {
            # A quarter of the machine's memory is too much for thirty people.
            "nsslapd-cache-autosize": "0",
            "nsslapd-dbcachesize": str(4 << 20),
            # The data die with the test; waiting for the disk would only cost time.
            "nsslapd-db-durable-transactions": "off",
        },
    }


def _changed(ldif: str, dn: str, attributes: Mapping[str, str]) -> str:
    """Give attributes of an entry another value, or one if they have none."""
    entries = ldif.split("\n\n")
    (at,) = (number for number, entry in enumerate(entries) if _dn(entry) == dn)
    names = {name.lower() for name in attributes}
    kept = [
        line for line in entries[at].splitlines() if line.partition(":")[0].lower() not in names
    ]
    entries[at] = "\n".join([*kept, *(f"{name}: {value}" for name, value in attributes.items())])
    return "\n\n".join(entries)


def _dn(entry: str) -> str:
    lines = [line for line in entry.splitlines() if line.startswith("dn: ")]
    return lines[0].removeprefix("dn: ") if lines else ""


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = hashlib.sha512(password.encode() + salt).digest()
    return "{SSHA512}" + base64.b64encode(digest + salt).decode("ascii")

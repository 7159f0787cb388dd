"""The configuration of a slapd for tests, as a slapd.conf."""

from pathlib import Path
from typing import Literal

from tests.kit.directory_tree import BASE, SERVICE
from tests.kit.servers.certificates import ServerCertificate
from tests.kit.servers.slapd_policy import POLICIES_BASE

# The rootdn: it may do all, no size limit holds it, and no test signs in as it.
ADMIN_DN = f"cn=administrator,{BASE}"
ADMIN_PASSWORD = "password of the administrator"
DATABASE_DN = "olcDatabase={1}mdb,cn=config"
SIZE_LIMIT = 500

_SCHEMAS = ("core", "cosine", "inetorgperson", "nis")
_MODULES = ("back_mdb", "memberof", "ppolicy")


def slapd_conf(
    *,
    data: Path,
    pid_file: Path,
    served: ServerCertificate,
    ca_file: Path,
    client_certificates: Literal["never", "demand"],
) -> str:
    """Write the configuration; `data` is an existing directory."""
    schemas = "\n".join(f"include /etc/ldap/schema/{name}.schema" for name in _SCHEMAS)
    modules = "\n".join(f"moduleload {name}" for name in _MODULES)
    return f"""{schemas}
pidfile {pid_file}
modulepath /usr/lib/ldap
{modules}

TLSCertificateFile {served.certificate}
TLSCertificateKeyFile {served.key}
TLSCACertificateFile {ca_file}
TLSVerifyClient {client_certificates}

database config
access to * by dn.exact="{ADMIN_DN}" manage by * none

database mdb
suffix "{BASE}"
rootdn "{ADMIN_DN}"
rootpw "{ADMIN_PASSWORD}"
directory {data}
maxsize {1 << 30}
# The data die with the test; waiting for the disk would only cost time.
dbnosync
index objectClass,uid,mail,member,memberUid eq
sizelimit {SIZE_LIMIT}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{SERVICE.dn}" read by * none

overlay memberof
memberof-refint TRUE

overlay ppolicy
ppolicy_default "cn=default,{POLICIES_BASE}"
ppolicy_hash_cleartext
# A locked account is called so, to whoever asks with the control.
ppolicy_use_lockout
"""

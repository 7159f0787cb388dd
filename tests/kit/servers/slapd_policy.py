"""slapd's password policies, and people whom they keep out although the password is right."""

from collections.abc import Iterator

from tests.kit.directory_tree import BASE, Attributes, DirectoryPerson
from tests.kit.servers.ldap_utils import ldif_modified

POLICIES_BASE = f"ou=policies,{BASE}"
LOCKED_FOR_EVER = "000001010000Z"

_KEPT_OUT_BASE = f"ou=kept out,{BASE}"
_LONG_AGO = "20200101000000Z"


def _person(uid: str) -> DirectoryPerson:
    cn = uid.replace("-", " ").title()
    return DirectoryPerson(uid=uid, cn=cn, mail=[f"{uid}@example.org"], base=_KEPT_OUT_BASE)


LOCKED = _person("locked")
# The password is older than its policy allows; the second may bind three times more.
EXPIRED = _person("expired")
IN_GRACE = _person("in-grace")
# Binds, and may do nothing but choose another password.
MUST_CHANGE = _person("must-change")

KEPT_OUT = (LOCKED, EXPIRED, IN_GRACE, MUST_CHANGE)

# In all but the last no number of wrong passwords locks an account: one test's guesses leave the
# people of another alone.
_POLICIES: dict[str, Attributes] = {
    "default": {"pwdLockout": ["TRUE"], "pwdMaxFailure": ["0"]},
    "expiring": {"pwdMaxAge": ["86400"]},
    "with-grace": {"pwdMaxAge": ["86400"], "pwdGraceAuthNLimit": ["3"]},
    "must-change": {"pwdMustChange": ["TRUE"]},
    "three-failures": {"pwdLockout": ["TRUE"], "pwdMaxFailure": ["3"]},
}


def policy_dn(name: str) -> str:
    """Return the entry of a policy, for an entry's `pwdPolicySubentry`."""
    return f"cn={name},{POLICIES_BASE}"


def entries() -> Iterator[tuple[str, Attributes]]:
    """Yield the policies and the people whom they keep out, parents first."""
    yield POLICIES_BASE, {"objectClass": ["organizationalUnit"], "ou": ["policies"]}
    for name, rules in _POLICIES.items():
        about = {"objectClass": ["device", "pwdPolicy"], "cn": [name]}
        yield policy_dn(name), {**about, "pwdAttribute": ["userPassword"], **rules}
    yield _KEPT_OUT_BASE, {"objectClass": ["organizationalUnit"], "ou": ["kept out"]}
    for person in KEPT_OUT:
        yield person.dn, person.attributes


def past_ldif() -> str:
    """Write what must have happened for them to be kept out."""
    changes: list[tuple[DirectoryPerson, Attributes]] = [
        (LOCKED, {"pwdAccountLockedTime": [LOCKED_FOR_EVER]}),
        (EXPIRED, _aged("expiring")),
        (IN_GRACE, _aged("with-grace")),
        (MUST_CHANGE, {"pwdPolicySubentry": [policy_dn("must-change")], "pwdReset": ["TRUE"]}),
    ]
    return "".join(ldif_modified(who.dn, "replace", how) for who, how in changes)


def _aged(policy: str) -> Attributes:
    return {"pwdPolicySubentry": [policy_dn(policy)], "pwdChangedTime": [_LONG_AGO]}

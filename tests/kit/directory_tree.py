"""Who is in the directories of the tests: people, their groups, and the names that are a trap.

The same tree for every kind of server; what only one of them knows (locked accounts, policies) is
added by that server's own module.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BASE = "dc=example,dc=org"
PEOPLE_BASE = f"ou=people,{BASE}"
PARTNERS_BASE = f"ou=partners,{BASE}"
GROUPS_BASE = f"ou=groups,{BASE}"
POSIX_GROUPS_BASE = f"ou=posix,{BASE}"

_SPECIALS = '\\"+,;<>=\0'

Attributes = Mapping[str, Sequence[str | bytes]]


def escape_rdn_value(value: str) -> str:
    """Escape an attribute's value for a distinguished name (RFC 4514, 2.4), as slapd writes it."""
    escaped = "".join(f"\\{ord(each):02X}" if each in _SPECIALS else each for each in value)
    if escaped.startswith(("#", " ")):
        escaped = f"\\{ord(escaped[0]):02X}{escaped[1:]}"
    return f"{escaped[:-1]}\\20" if escaped.endswith(" ") else escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryPerson:
    """Somebody who can bind with a password. `mail` may be empty, or hold several addresses."""

    uid: str
    cn: str
    mail: Sequence[str]
    base: str = PEOPLE_BASE

    @property
    def dn(self) -> str:
        """The distinguished name of the entry."""
        return f"uid={escape_rdn_value(self.uid)},{self.base}"

    @property
    def password(self) -> str:
        """A password that nobody else has."""
        return f"password of {self.uid}"

    @property
    def attributes(self) -> Attributes:
        """The entry, the password in clear: the server hashes it."""
        return {
            "objectClass": ["inetOrgPerson"],
            "uid": [self.uid],
            "cn": [self.cn],
            "sn": [self.cn.rsplit(" ", 1)[-1]],
            "userPassword": [self.password],
            **({"mail": list(self.mail)} if self.mail else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryGroup:
    """A groupOfNames; `members` are distinguished names of people and of other groups."""

    cn: str
    members: Sequence[str] = field(default_factory=list)

    @property
    def dn(self) -> str:
        """The distinguished name of the entry."""
        return group_dn(self.cn)

    @property
    def attributes(self) -> Attributes:
        """The entry."""
        return {"objectClass": ["groupOfNames"], "cn": [self.cn], "member": self.members}


def group_dn(cn: str) -> str:
    """Return the distinguished name of a groupOfNames."""
    return f"cn={escape_rdn_value(cn)},{GROUPS_BASE}"


def _person(uid: str, cn: str, *mail: str, base: str = PEOPLE_BASE) -> DirectoryPerson:
    return DirectoryPerson(uid=uid, cn=cn, mail=mail, base=base)


ALICE = _person("alice", "Alice Liddell", "alice@example.org", "a.liddell@example.org")
BOB = _person("bob", "Bob Baker", "bob@example.org")
CAROL = _person("carol", "Carol Cycle", "carol@example.org")
DORA = _person("dora", "Dora Deep", "dora@example.org")
NO_MAIL = _person("nomail", "Norman Nomail")
O_NEIL = _person("O'Neil (ext)", "Shane O'Neil (ext)", "oneil@example.org")
MUELLER = _person("Müller\\x", "Jürgen Müller\\x", "mueller@example.org")
STAR = _person("a*b", "Star a*b", "star@example.org")
NIHON = _person("日本", "日本 太郎", "nihon@example.org")
# Found in the place of STAR by whoever lets the star through.
STAR_BAIT = _person("axxb", "Bait axxb", "bait@example.org")
COMMA = _person('Smith, "J+J" <#1>; x=y', "Comma Smith, J", "comma@example.org")
# One address in two branches: a search for it finds two entries.
TWIN = _person("twin", "Twin Inside", "twin@example.org")
TWIN_PARTNER = _person("twin", "Twin Outside", "twin@example.org", base=PARTNERS_BASE)
# The account that the provider reads with; nobody else may read anything.
SERVICE = _person("idp-reader", "Service idp-reader", base=BASE)

STRANGELY_NAMED = (O_NEIL, MUELLER, STAR, NIHON, COMMA)
PEOPLE = (ALICE, BOB, CAROL, DORA, NO_MAIL, *STRANGELY_NAMED, STAR_BAIT, TWIN, TWIN_PARTNER)

DEPTH = 12

# alice -> backend -> developers -> staff, and directly admins; carol in a cycle; dora twelve deep.
GROUPS = (
    DirectoryGroup(cn="admins", members=[ALICE.dn]),
    DirectoryGroup(cn="backend", members=[ALICE.dn, MUELLER.dn]),
    DirectoryGroup(cn="developers", members=[group_dn("backend"), BOB.dn]),
    DirectoryGroup(cn="staff", members=[group_dn("developers"), *(p.dn for p in STRANGELY_NAMED)]),
    DirectoryGroup(cn="Entwickler, München (alle) *", members=[NIHON.dn, STAR.dn]),
    DirectoryGroup(cn="cycle-a", members=[group_dn("cycle-b"), CAROL.dn]),
    DirectoryGroup(cn="cycle-b", members=[group_dn("cycle-a")]),
    DirectoryGroup(cn="depth-1", members=[DORA.dn]),
    *(
        DirectoryGroup(cn=f"depth-{number}", members=[group_dn(f"depth-{number - 1}")])
        for number in range(2, DEPTH + 1)
    ),
)

# `memberUid` is ASCII by its definition (RFC 2307), so 日本 cannot be in one.
POSIX_GROUPS: Mapping[str, Sequence[str]] = {
    "wheel": [ALICE.uid],
    "users": [ALICE.uid, BOB.uid, O_NEIL.uid, STAR.uid, STAR_BAIT.uid],
}


def entries() -> Iterator[tuple[str, Attributes]]:
    """Yield every entry with its distinguished name, parents first."""
    yield BASE, {"objectClass": ["organization", "dcObject"], "o": ["Example"], "dc": ["example"]}
    for dn in (PEOPLE_BASE, PARTNERS_BASE, GROUPS_BASE, POSIX_GROUPS_BASE):
        name = dn.split(",")[0].removeprefix("ou=")
        yield dn, {"objectClass": ["organizationalUnit"], "ou": [name]}
    for person in (SERVICE, *PEOPLE):
        yield person.dn, person.attributes
    for group in GROUPS:
        yield group.dn, group.attributes
    for number, (name, uids) in enumerate(POSIX_GROUPS.items()):
        yield (
            f"cn={name},{POSIX_GROUPS_BASE}",
            {
                "objectClass": ["posixGroup"],
                "cn": [name],
                "gidNumber": [str(2000 + number)],
                "memberUid": uids,
            },
        )

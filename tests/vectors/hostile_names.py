"""Three hundred names that try to be somebody else, for whoever looks names up."""

import itertools

KNOWN = "alice"
"""Whom they would like to be found as."""

_METACHARACTERS = ["*", "(", ")", "\\", "\0", "&", "|", "!", "=", "~", ">", "<", ":", "/", "#", ";"]
_FILTERS = [
    "*",
    "**",
    "a*",
    "*e",
    "al*ce",
    "alice)(uid=*",
    "alice)(&",
    "alice))(|(uid=*",
    "*)(uid=*))(|(uid=*",
    "*)(objectClass=*",
    "alice)(objectClass=*)",
    "alice)(|(cn=*)",
    "x)(|(uid=alice)",
    "x)(uid=alice",
    "x))(|(uid=alice",
    "(uid=alice)",
    "(&(uid=alice))",
    "!(uid=x)",
    "alice)(userPassword=*",
    "alice)(!(uid=x)",
    "*)(&(objectClass=*",
    "alice:=x",
    "uid:=alice",
    ":dn:=alice",
    "uid=alice",
    "1.2.840.113556.1.4.803:=2",
]
_ESCAPES = [
    r"\2a",
    r"\2A",
    r"al\69ce",
    r"\61lice",
    r"\61\6c\69\63\65",
    r"\\61lice",
    r"alice\00",
    r"alice\20",
    r"\28uid=alice\29",
    r"\5c2a",
    "\\",
    "alice\\",
    "\\alice",
    r"\a\l\i\c\e",
    r"\u0061lice",
    "%61lice",
    "%2a",
    "&#97;lice",
    "=?utf-8?q?alice?=",
    "alic\\65",
]
_DNS = [
    "uid=alice,ou=people,dc=example,dc=org",
    "alice,ou=people",
    "alice+cn=x",
    '"alice"',
    "<alice>",
    "#616c696365",
    "uid=alice;ou=people",
    "alice\\,x",
    "DN",
    "",
]
_NUL_AND_CONTROLS = [f"alice{chr(code)}" for code in range(1, 32)] + [
    f"{chr(code)}alice" for code in (0, 1, 7, 8, 11, 12, 27, 127)
]
_INVISIBLE = [
    f"{before}{char}{after}"
    for char in "\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff\u180e\u061c\u202e\u2066\ufe0f"
    for before, after in (("a", "lice"), ("", "alice"), ("alice", ""))
]
_LOOKALIKES = [
    "аlice",
    "alicе",
    "аlісе",
    "ålice",
    "álice",
    "a\u0301lice",
    "âlice",
    "alicé",
    "al1ce",
    "a1ice",
    "alıce",
    "αlice",
    "alιce",
    "alⲓce",
    "ɑlice",
]
_SPACES = [f"al{space}ice" for space in " \t\n\r\x0b\x0c\u00a0\u2003\u3000\u2028"]
_LONG = ["a" * 256, "a" * 1024, "alice" * 300, "*" * 1000, "(" * 1000, "\\" * 1023, "a" * 65536]
_NO_UTF_8 = ["\ud800", "alice\udcff", "\udcff\udcfe", "\udfff"]
_OTHERS = [
    "nobody",
    "alice@",
    "@alice",
    "alice@example.org@example.org",
    "EXAMPLE\\alice",
    "alice/admin",
    "alice$",
    "-alice",
    "alice'--",
    "' or ''='",
    "${jndi:ldap://x/a}",
    "{{alice}}",
    "$(alice)",
    "`alice`",
    "alice|x",
    "../alice",
    "ldap://localhost/uid=alice",
    "null",
    "None",
    "0",
    "-1",
    "true",
    "root",
    "anonymous",
    "cn=administrator",
    "objectClass",
    "inetOrgPerson",
    "alice.",
    "alice,",
    "alice?",
    "alice[0]",
    "alice]",
    "{alice}",
    "alice^",
    "alice+alice",
    "alice%00",
    "alice%2a",
    "a*ice".replace("*", "%"),
    "ali_e",
    "al?ce",
]
_WRAPPED = [
    text
    for char in _METACHARACTERS
    for text in (
        f"alice{char}",
        f"{char}alice",
        f"al{char}ice",
        f"{char}",
        f"{char}{char}alice{char}{char}",
        f"alice{char}bob",
        f"x{char}alice",
    )
]

HOSTILE_NAMES = sorted(
    set(
        itertools.chain(
            _FILTERS,
            _ESCAPES,
            _DNS,
            _NUL_AND_CONTROLS,
            _INVISIBLE,
            _LOOKALIKES,
            _SPACES,
            _LONG,
            _NO_UTF_8,
            _OTHERS,
            _WRAPPED,
        )
    )
)
"""None of them is anybody's; whoever finds a person by one of them has been deceived."""

OTHER_SPELLINGS = [
    "ALICE",
    "ａlice",
    "ａｌｉｃｅ",
    "𝐚lice",
    "ⓐlice",
    "ªlice",
    "alℹce",
    "aliⅽe",
    "alicℯ",
]
"""A directory may hold these to be the name itself (RFC 4518 section 2.3), or to be nobody's."""

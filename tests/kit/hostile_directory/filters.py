"""Search filters: read from the wire, written as text (RFC 4515), and asked of an entry."""

from collections.abc import Mapping, Sequence

from tests.kit.hostile_directory.ber import Element, NotBer

_AND, _OR, _NOT, _EQUAL, _SUBSTRINGS, _AT_LEAST, _AT_MOST = range(0xA0, 0xA7)
_PRESENT, _APPROXIMATE, _EXTENSIBLE = 0x87, 0xA8, 0xA9
_INITIAL, _FINAL = 0x80, 0x82
_COMPARED = {_EQUAL: "=", _AT_LEAST: ">=", _AT_MOST: "<=", _APPROXIMATE: "~="}

# Attributes by their name in lower case.
Values = Mapping[str, Sequence[bytes]]


def filter_text(found: Element) -> str:
    """Write a filter as people do. Everything that is special or no UTF-8 is escaped."""
    if found.tag in (_AND, _OR, _NOT):
        sign = {_AND: "&", _OR: "|", _NOT: "!"}[found.tag]
        return f"({sign}{''.join(filter_text(child) for child in found.children)})"
    if found.tag == _PRESENT:
        return f"({found.text}=*)"
    if found.tag in _COMPARED:
        name, value = found.children
        return f"({name.text}{_COMPARED[found.tag]}{escaped(value.content)})"
    if found.tag == _SUBSTRINGS:
        name, parts = found.children
        return f"({name.text}={_star_text(parts.children)})"
    if found.tag == _EXTENSIBLE:
        return f"({_extensible_text(found.children)})"
    raise NotBer(f"no filter: {found.tag:#x}")


def matches(found: Element, entry: Values) -> bool:
    """Tell whether an entry matches; upper and lower case are one, extensible rules never match."""
    if found.tag == _AND:
        return all(matches(child, entry) for child in found.children)
    if found.tag == _OR:
        return any(matches(child, entry) for child in found.children)
    if found.tag == _NOT:
        return not matches(found.children[0], entry)
    if found.tag == _PRESENT:
        return found.text.lower() == "objectclass" or found.text.lower() in entry
    if found.tag in (_EQUAL, _APPROXIMATE):
        name, value = found.children
        return _folded(value.content) in map(_folded, entry.get(name.text.lower(), ()))
    if found.tag == _SUBSTRINGS:
        name, parts = found.children
        values = entry.get(name.text.lower(), ())
        return any(_fits(parts.children, _folded(value)) for value in values)
    return False


def escaped(value: bytes) -> str:
    """Escape an assertion value: the specials of RFC 4515, and bytes that are no UTF-8."""
    text = value.decode(errors="surrogateescape")
    return "".join(_escaped_character(each) for each in text)


def _escaped_character(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\{ord(character) - 0xDC00:02x}"
    return f"\\{ord(character):02x}" if character in "*()\\\0" else character


def _star_text(parts: Sequence[Element]) -> str:
    text = "*".join(escaped(part.content) for part in parts)
    before = "" if parts[0].tag == _INITIAL else "*"
    return f"{before}{text}{'' if parts[-1].tag == _FINAL else '*'}"


def _extensible_text(parts: Sequence[Element]) -> str:
    by_tag = {part.tag: part for part in parts}
    name = by_tag[0x82].text if 0x82 in by_tag else ""
    with_dn = ":dn" if by_tag.get(0x84, Element(0, b"\0")).content != b"\0" else ""
    rule = f":{by_tag[0x81].text}" if 0x81 in by_tag else ""
    return f"{name}{with_dn}{rule}:={escaped(by_tag[0x83].content)}"


def _fits(parts: Sequence[Element], value: bytes) -> bool:
    position = 0
    for part in parts:
        wanted = _folded(part.content)
        if part.tag == _FINAL:
            return value.endswith(wanted) and len(value) - len(wanted) >= position
        at = value.find(wanted, position)
        if at < 0 or (part.tag == _INITIAL and at > 0):
            return False
        position = at + len(wanted)
    return True


def _folded(value: bytes) -> bytes:
    return value.decode(errors="surrogateescape").casefold().encode(errors="surrogateescape")

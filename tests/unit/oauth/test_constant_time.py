"""Secrets are compared in constant time, everywhere (CV-17): read from the source, not believed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_SECRET = re.compile(
    r"(^|_)(secret|secrets|password|passwords|mac|tag|tags|verifier|challenge|digest|signature|hash"
    r"|hashes|token|tokens|code_challenge|client_secret|code_verifier)$"
)
_ALLOWED = frozenset(
    {
        # Typed twice at one's own terminal.
        ("idp/commands/hash_password.py", "password"),
        # Tags of YAML nodes.
        ("idp/settings/document.py", "tag"),
        # A browser's own tags, sorted out before one more is added: nobody learns anything.
        ("idp/web/cookies.py", "tag"),
        # Digests of public certificates and of files that only we compare with themselves.
        ("storage/kubernetes/connections.py", "tls_digest"),
    }
)


def _name(node: ast.expr) -> str:
    """Return the last word of what is compared; lengths, kinds and literals are no secrets."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return _name(function)
        case ast.Subscript(value=value):
            return _name(value)
    return ""


def _comparisons(path: Path) -> Iterator[str]:
    relative = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        if not any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops):
            continue
        for name in map(_name, sides):
            if _SECRET.search(name) and (relative, name) not in _ALLOWED:
                yield f"{relative}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.covers("CV-17")
@pytest.mark.parametrize("package", ["idp", "connectors", "storage"])
def test_no_secret_is_compared_with_an_equals_sign(package: str) -> None:
    found = [line for path in sorted((ROOT / package).rglob("*.py")) for line in _comparisons(path)]
    assert found == []


@pytest.mark.covers("CV-17")
def test_the_lint_sees_what_it_looks_for(tmp_path: Path) -> None:
    source = (
        "if offered.client_secret != known or f(x).mac == y or a == b or tag == 'literal': pass"
    )
    found = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare) and any(_SECRET.search(_name(n)) for n in [node.left])
    ]
    assert found == ["offered.client_secret != known", "f(x).mac == y", "tag == 'literal'"]


@pytest.mark.covers("CV-17")
def test_rsa_with_pkcs1_padding_decrypts_nothing_here() -> None:
    for package in ("idp", "connectors", "storage"):
        for path in (ROOT / package).rglob("*.py"):
            assert "RSA1_5" not in path.read_text(), path

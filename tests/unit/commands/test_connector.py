"""`idp connector test` without a directory: what is told when it cannot even be reached."""

from pathlib import Path

import pytest
import yaml

from tests.unit.commands.conftest import idp

FILE = {
    "issuer": "https://login.example.com",
    "storage": {"type": "memory"},
    "web": {"http": "127.0.0.1:0"},
    "connectors": [
        {
            "type": "ldap",
            "id": "corp",
            "name": "Corporate",
            "config": {
                # Nobody may listen there, so that the answer is at once.
                "hosts": ["127.0.0.1:1", "localhost:1"],
                "startTLS": True,
                "bindDN": "cn=reader",
                "bindPW": "hunter2",
                "userSearch": {"baseDN": "dc=example,dc=com", "username": "uid"},
            },
        }
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(FILE))
    return str(path)


@pytest.mark.covers("R-90")
def test_each_host_that_is_out_of_reach_is_a_problem(config: str) -> None:
    ran = idp("connector", "test", "corp", "--user", "alice", "-c", config)
    first, *steps = ran.out.splitlines()
    assert (ran.status, ran.err) == (1, "")
    assert first == "connector corp: ldap, 127.0.0.1:1, localhost:1, StartTLS"
    problems = [step for step in steps if step.startswith("problem")]
    assert len(problems) == 2
    assert "127.0.0.1:1" in problems[0]
    assert "check host, port and what is between" in problems[0]
    assert "hunter2" not in ran.out + ran.err


def test_a_connector_that_is_not_in_the_file_is_told_with_those_that_are(config: str) -> None:
    ran = idp("connector", "test", "crop", "-c", config)
    assert (ran.status, ran.out) == (2, "")
    assert "there is no connector `crop`; it has `corp`" in ran.err


def test_a_file_that_cannot_be_used_is_told_first(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("issuer: x\n")
    ran = idp("connector", "test", "corp", "-c", str(path))
    assert ran.status == 2
    assert "nothing started" in ran.err


def test_without_a_kubeconfig_it_says_how_to_name_the_file() -> None:
    ran = idp("connector", "test", "corp", environ={"HOME": "/nonexistent"})
    assert ran.status == 2
    assert "There is no kubeconfig" in ran.err
    assert "--config" in ran.err

"""The command line: help that starts at once, statuses, and the small commands."""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.commands.conftest import configuration, idp

_COMMANDS = [
    [],
    ["serve"],
    ["check"],
    ["crds"],
    ["hash-password"],
    ["version"],
    ["keys"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "reseal"],
    ["session"],
    ["session", "list"],
    ["session", "revoke"],
    ["user"],
    ["user", "lock"],
    ["user", "unlock"],
    ["user", "logout"],
]


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        idp(*command, "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "usage: idp" in said
    assert "SUPPRESS" not in said


@pytest.mark.parametrize("arguments", [[], ["keys"], ["serv"], ["session", "list", "--usr", "x"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        idp(*arguments)
    assert ended.value.code == 2
    assert "idp" in capsys.readouterr().err


def test_help_loads_no_server_and_no_client() -> None:
    program = (
        "import sys\nfrom idp.cli import parser\nparser().format_help()\n"
        "heavy = {'pydantic', 'starlette', 'kubernetes', 'aiohttp', 'cryptography', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_help_is_there_at_once() -> None:
    # Each run but the first finds modules compiled, as an installation does.
    env = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds(*arguments: str) -> float:
        """Return the CPU time: how busy the machine is does not count."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Beside Python itself, of which it takes six times as much; the server takes a hundred times.
    pairs = [(seconds("-c", ""), seconds("-m", "idp", "--help")) for _ in range(4)]
    bare, helping = (min(each) for each in zip(*pairs, strict=True))
    assert helping < 12 * bare


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [sys.executable, "-m", "idp", "crds"], stdout=write, stderr=subprocess.PIPE
    ) as child:
        os.close(write)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (1, b"")


def test_a_terminal_without_a_letter_gets_an_escape(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "idp", "check", str(tmp_path / "zoë")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=30,
    )
    assert answer.returncode == 2
    assert b"zo\\xeb" in answer.stderr


def test_the_version_is_printed() -> None:
    assert idp("version").out.startswith("idp 0.")


def test_a_good_configuration_is_told_with_its_warnings(tmp_path: Path) -> None:
    config = configuration(
        tmp_path, "{type: memory}\nstaticClients: [{id: a, secret: short, redirectURIs: []}]"
    )
    ran = idp("check", config)
    assert (ran.status, ran.out) == (0, f"{config}: ok, issuer https://id.example.com\n")
    assert "warning: line 5: staticClients[0].secret: is shorter than 16" in ran.err


def test_a_bad_configuration_is_status_2(tmp_path: Path) -> None:
    config = configuration(tmp_path, "{type: kubernetes}")
    ran = idp("check", config)
    assert (ran.status, ran.out) == (2, "")
    assert f"{config}: line 4: storage.config: needs `inCluster: true`" in ran.err
    assert "1 problem;" in ran.err


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "issuer: https://id.example.com\nstorage: {type: memory}\n"
        "oauth2: {grantTypes: [client_credentials]}\n"
        f"web: {{https: ':5554', tlsCert: {tmp_path}/no.crt, tlsKey: {tmp_path}/no.key}}\n"
    )
    ran = idp("check", str(config))
    assert ran.status == 2
    assert "no.crt" in ran.err


def test_only_a_cluster_can_be_looked_into(tmp_path: Path) -> None:
    ran = idp("check", "--cluster", configuration(tmp_path, "{type: memory}"))
    assert ran.status == 2
    assert "--cluster is for `storage.type: kubernetes`" in ran.err


def test_a_password_from_a_pipe_is_hashed() -> None:
    ran = idp("hash-password", stdin=io.StringIO("correct horse\n"))
    assert ran.status == 0
    assert "correct horse" not in ran.out


def test_an_unusable_password_is_told_and_not_shown() -> None:
    ran = idp("hash-password", stdin=io.StringIO("\n"))
    assert (ran.status, ran.out) == (2, "")
    assert "This password cannot be used" in ran.err

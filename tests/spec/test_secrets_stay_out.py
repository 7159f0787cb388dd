"""No password, secret, token, code or cookie reaches a log, a page, an error or a metric (R-90)."""

import io
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from idp.log import JsonFormatter
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    PASSWORD,
    PASSWORD_HASH,
    ProviderUnderTest,
    answer_of,
    base_config,
    login_page,
    provider_under_test,
)

CANARY = "canary-7f3a"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Catch everything that is logged, at the most talkative level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level, before = root.level, list(root.handlers)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.handlers[:] = before


@pytest.fixture
def provider(log: io.StringIO) -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["oauth2"]["skipApprovalScreen"] = False
    with provider_under_test(config) as running:
        yield running


def _secrets_of_a_whole_login(provider: ProviderUnderTest) -> list[str]:
    browser = provider.browser
    page = provider.authorize()
    form = login_page(page)
    sent = {"login": ALICE, "password": PASSWORD, "state": form.state}
    approval = browser.post(form.action, data=sent)
    form_of_approval = login_page(approval)
    redirect = browser.post(
        form_of_approval.action,
        data={"approval": "approve", "state": form_of_approval.state},
    )
    code = answer_of(redirect)["code"]
    tokens = provider.redeem(code).json()
    refreshed = provider.refresh(tokens["refresh_token"]).json()
    assert provider.userinfo(refreshed["access_token"]).status_code == 200
    assert provider.redeem(code).status_code == 400
    cookies = [value for _, value in browser.client.cookies.items()]
    return [
        PASSWORD, CONFIDENTIAL[1], PASSWORD_HASH.rpartition("$")[2], form.state,
        form_of_approval.state, code, *cookies,
        *(tokens[name] for name in ("access_token", "id_token", "refresh_token")),
        *(refreshed[name] for name in ("access_token", "id_token", "refresh_token")),
    ]  # fmt: skip


@pytest.mark.covers("R-90")
def test_a_whole_login_leaves_no_secret_in_logs_and_metrics(
    provider: ProviderUnderTest, log: io.StringIO
) -> None:
    secrets = _secrets_of_a_whole_login(provider)
    written = log.getvalue() + generate_latest(provider.provider.metrics.registry).decode()
    assert "login_succeeded" in written
    assert "code_replayed" in written
    assert [secret for secret in secrets if secret in written] == []


@pytest.mark.covers("R-90", "CV-30")
@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "authorization_code", "code": CANARY, "redirect_uri": CALLBACK},
        {"grant_type": "refresh_token", "refresh_token": CANARY},
        {"grant_type": "authorization_code", "code": "kic_" + CANARY, "code_verifier": CANARY},
        {"grant_type": CANARY},
        {"grant_type": "client_credentials", "client_secret": CANARY},
    ],
)
def test_a_refused_token_request_repeats_no_secret(
    provider: ProviderUnderTest, log: io.StringIO, form: dict[str, str]
) -> None:
    wrong = provider.token(form, auth=(CONFIDENTIAL[0], CANARY))
    right = provider.token(form)
    written = log.getvalue() + generate_latest(provider.provider.metrics.registry).decode()
    assert wrong.status_code in (400, 401)
    assert right.status_code == 400
    assert CANARY not in written + wrong.text + right.text


@pytest.mark.covers("R-90", "CV-30")
def test_a_wrong_password_is_repeated_nowhere(
    provider: ProviderUnderTest, log: io.StringIO
) -> None:
    answer = provider.sign_in(password=CANARY)
    written = log.getvalue() + generate_latest(provider.provider.metrics.registry).decode()
    assert answer.status_code == 401
    assert "login_failed" in written
    assert CANARY not in written + answer.text


@pytest.mark.covers("R-90", "CV-28")
def test_what_people_type_cannot_forge_a_line_of_the_log(
    provider: ProviderUnderTest, log: io.StringIO
) -> None:
    provider.sign_in(username='alice\r\n{"event":"forged"}\x1b[31m')
    lines = [line for line in log.getvalue().splitlines() if line]
    assert not [line for line in lines if line.startswith('{"event":"forged"')]
    assert "\x1b" not in log.getvalue()

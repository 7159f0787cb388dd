"""An operator hears of every answer that failed because of the store."""

import logging

import pytest

from tests.kit.provider import base_config, provider_under_test
from tests.kit.storage import Fails, Faults, FlakyBackend


@pytest.mark.covers("K-1", "CV-10")
def test_a_token_request_that_the_store_failed_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = Faults()
    config = base_config()
    with provider_under_test(
        config, wrap_backend=lambda backend: FlakyBackend(backend, faults)
    ) as idp:
        tokens = idp.tokens()
        faults.next("read", Fails())
        with caplog.at_level(logging.ERROR):
            assert idp.refresh(tokens["refresh_token"]).status_code == 503
        failures = idp.provider.metrics.registry.get_sample_value("idp_store_failures_total")
    assert failures == 1
    assert [record.getMessage() for record in caplog.records] == ["store_unavailable"]

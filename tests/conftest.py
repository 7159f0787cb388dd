"""What every test run needs; fixtures live beside the tests that use them."""

pytest_plugins = ["tests.kit.servers.reporting"]

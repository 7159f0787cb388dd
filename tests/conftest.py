"""What every test run needs; fixtures live beside the tests that use them."""

from hypothesis import settings

pytest_plugins = ["tests.kit.servers.reporting"]

# These machines are shared and noisy: how long one example takes says nothing.
settings.register_profile("kube-idp", deadline=None)
settings.load_profile("kube-idp")

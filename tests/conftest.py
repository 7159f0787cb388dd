"""What every test run needs; fixtures live beside the tests that use them."""

from hypothesis import settings

from tests.kit.sizes import examples

pytest_plugins = ["tests.kit.servers.reporting"]

# These machines are shared and noisy: how long one example takes says nothing.
settings.register_profile("kube-idp", deadline=None, max_examples=examples(100))
settings.load_profile("kube-idp")

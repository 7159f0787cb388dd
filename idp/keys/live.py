"""What the running server signs, verifies and publishes with, swapped as one when the ring changes.

The objects stay the same and are handed out once; only what is in them changes. There is no await
between the parts of a swap, so no request sees half of it.
"""

from hashlib import sha256

from idp.keys.jwks import key_set_json
from idp.keys.ring import RotationPolicy
from idp.keys.signer import Signer
from idp.keys.verify import Verifier
from storage.records import KeyRing


class LiveKeys:
    """Signer, verifier and key set of the current ring; `adopt` is what a `KeyKeeper` calls.

    `key_set` is the body of the keys endpoint and `etag` its entity tag, quotes included.
    """

    def __init__(self, policy: RotationPolicy) -> None:
        """Start without keys: nothing verifies, and signing raises RingIncomplete."""
        none = KeyRing(name="none", keys=())
        self.signer = Signer(none, default_alg=policy.algorithms[0])
        self.verifier = Verifier(none)
        self._publish(key_set_json(none))

    def adopt(self, published: KeyRing, signing: KeyRing) -> None:
        """Publish and verify with one ring and sign with another; nearly always they are the same.

        They differ for two seconds after an emergency, see `rotate`. Raises KeyUnusable; then
        nothing has changed.
        """
        key_set = key_set_json(published)
        verifying, private = self.verifier.load(published), self.signer.load(signing)
        self.verifier.use(verifying)
        self.signer.use(private)
        self._publish(key_set)

    def _publish(self, key_set: bytes) -> None:
        self.key_set = key_set
        self.etag = f'"{sha256(key_set).hexdigest()[:32]}"'

"""What people write (clients, local users, states of users), read, judged, served and answered.

Owns: from a written object to a value of the domain, which of two rivals counts, the live sets that
requests look into, and the status, events and generated secrets that answer the objects' authors.
Does not own: how objects are read and written (`storage.objects`), what a client or a locked person
may do (`idp.oauth`, `idp.grants`, `idp.login`, `idp.web`, which know nothing of objects).
"""

from idp.objects.assembly import (
    LiveObjects,
    ObjectHooks,
    Timing,
    live_objects,
)
from idp.objects.kinds import ObjectSettings

__all__ = ["LiveObjects", "ObjectHooks", "ObjectSettings", "Timing", "live_objects"]

"""What every backend of the storage port must do.

A backend's test module defines the fixture `harness` (see `tests.storage.harness`) and imports
everything from here.
"""

from tests.storage.contract.basics import *  # noqa: F403
from tests.storage.contract.expiry import *  # noqa: F403
from tests.storage.contract.processes import *  # noqa: F403
from tests.storage.contract.races import *  # noqa: F403
from tests.storage.contract.seals import *  # noqa: F403
from tests.storage.contract.versions import *  # noqa: F403
from tests.storage.contract.watching import *  # noqa: F403

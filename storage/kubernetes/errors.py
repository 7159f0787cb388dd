"""What the API server's answers mean, in the words of the storage port."""

from collections.abc import Sequence

from storage.base import StorageError, StorageUnavailable


class Unavailable(StorageUnavailable):
    """The API server cannot be asked, or would not do it.

    `status` is its HTTP status, None when there was no answer; `retry_after` are the seconds that
    it asked us to wait, if it did.
    """

    def __init__(
        self, text: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class Forbidden(Unavailable):
    """We may not do that (401 or 403); the text names verb and resource."""


class Expired(Unavailable):
    """The version to go on from is too old (410): list again."""


class TooLarge(Unavailable):
    """The object is larger than the API server or etcd accepts."""


class Invalid(StorageError):
    """The object breaks its schema or a rule of it (422); `causes` name fields and reasons."""

    def __init__(self, text: str, *, causes: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.causes = tuple(causes)

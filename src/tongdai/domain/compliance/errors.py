"""What can be wrong with a schedule, a list, a consent or an attestation."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class ScheduleInvalidError(InvalidError):
    """The schedule is not valid.

    `facts["errors"]` lists each field at fault and why.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(errors=errors)


class RecordInvalidError(InvalidError):
    """The record is not valid.

    `facts["errors"]` lists each field at fault and why.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(errors=errors)


class DoNotCallNotFoundError(NotFoundError):
    """There is no such do-not-call entry, or it is not yours."""


class OptOutNotFoundError(NotFoundError):
    """This number has not opted out."""


class AttestationNotFoundError(NotFoundError):
    """There is no such attestation, or it is not yours."""


class AttestationEndedError(ConflictError):
    """The attestation was ended before."""


class NationalListOldError(ConflictError):
    """A newer copy of the national register was imported before."""

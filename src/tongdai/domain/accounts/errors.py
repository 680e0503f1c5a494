"""What can go wrong with accounts, users, keys and secrets."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError, TongdaiError


class AccountNotFoundError(NotFoundError):
    """There is no such account."""


class UserNotFoundError(NotFoundError):
    """There is no such user in this account."""


class ProjectNotFoundError(NotFoundError):
    """There is no such project in this account."""


class ApiKeyNotFoundError(NotFoundError):
    """There is no such API key, or it is revoked already."""


class SecretNotFoundError(NotFoundError):
    """This user has no such secret."""


class SecretUnknownError(NotFoundError):
    """No enabled user has this secret."""


class VendorKeyNotFoundError(NotFoundError):
    """There is no such key of a vendor in this account."""


class AccountCodeTakenError(ConflictError):
    """Another account has this code."""


class EmailTakenError(ConflictError):
    """Another user signs in with this e-mail address."""


class ProjectCodeTakenError(ConflictError):
    """Another project of the account has this code."""


class SecretExistsError(ConflictError):
    """This user has such a secret already: rotate it instead."""


class PasswordsBusyError(TongdaiError):
    """So many passwords wait to be checked that another one would wait too long."""

    retryable = True


class AccountInvalidError(InvalidError):
    """A name, e-mail address, code or password is not acceptable.

    `facts["errors"]` says which.
    """

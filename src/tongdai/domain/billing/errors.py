"""What can go wrong with money."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class WalletTooLowError(ConflictError):
    """The wallet holds less than that, beside what is reserved for calls that are up."""


class WalletTooFullError(ConflictError):
    """A wallet holds at most 999,999,999,999,999 đồng."""


class AmountInvalidError(InvalidError):
    """The amount, or what is said about it, is not valid; see errors."""


class TariffNotFoundError(NotFoundError):
    """There is no such tariff."""


class TariffNameTakenError(ConflictError):
    """Another tariff has this name."""


class TariffInvalidError(InvalidError):
    """The tariff, or its rate, is not valid; see errors."""


class PlanNotFoundError(NotFoundError):
    """There is no such plan."""


class PlanNameTakenError(ConflictError):
    """Another plan has this name."""


class PlanInvalidError(InvalidError):
    """The plan is not valid; see errors."""


class SubscriptionNotFoundError(NotFoundError):
    """The account has no such subscription."""


class SubscriptionInvalidError(InvalidError):
    """The subscription is not valid; see errors."""


class PriceInvalidError(InvalidError):
    """The price is not valid."""


class VatRateInvalidError(InvalidError):
    """The VAT rate is not valid; see errors."""

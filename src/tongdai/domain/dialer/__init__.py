"""Capacity, claims, pacing: picks and places the next attempt."""

from tongdai.domain.dialer.claim import Claim, Claimer, ClaimRules, claim
from tongdai.domain.dialer.fleet import ASTERISK
from tongdai.domain.dialer.model import OtpReserve
from tongdai.domain.dialer.service import Dialer, DialerConfig
from tongdai.domain.dialer.upkeep import is_any_alive, recount_limits

__all__ = [
    "ASTERISK",
    "Claim",
    "ClaimRules",
    "Claimer",
    "Dialer",
    "DialerConfig",
    "OtpReserve",
    "claim",
    "is_any_alive",
    "recount_limits",
]

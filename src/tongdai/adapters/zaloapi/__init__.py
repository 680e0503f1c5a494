"""Zalo's HTTP API: permission and tokens, profiles, template messages and journeys."""

from tongdai.adapters.zaloapi.client import ZaloClient

__all__ = ["ZaloClient"]

"""Zalo: Official Accounts and their tokens, journeys, messages and templates."""

"""Protocols, events and capabilities of the outside world. No input or output here."""

"""Helpers with no business in them."""

"""Posting over HTTP with aiohttp, to public addresses alone unless the operator allows others."""

from tongdai.adapters.httppost.poster import HttpPoster

__all__ = ["HttpPoster"]

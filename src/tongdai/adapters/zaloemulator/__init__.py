"""A stand-in for Zalo in a process of its own: permission page, tokens, messages, journeys and webhooks.

It knows nothing of tongdai. Its sources are Zalo's pages and Zalo's own SDKs; where they are silent, what it
does is said in docs/reference/zalo-emulator.md.
"""

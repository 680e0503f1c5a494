"""A simulated carrier in a process of its own, and the telephony engine that talks to it."""

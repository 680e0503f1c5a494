"""All SQL of the dialer."""

"""All SQL of calls that come in."""

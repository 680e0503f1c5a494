"""All SQL about recordings."""

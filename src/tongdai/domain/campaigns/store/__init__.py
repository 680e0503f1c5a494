"""All SQL of the campaigns module."""

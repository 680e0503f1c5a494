"""All SQL of the calls module."""

"""All SQL of the routing module."""

"""All SQL of Zalo, one file for each of its tables or uses."""

"""SQL of persons, lists, consent and frequency."""

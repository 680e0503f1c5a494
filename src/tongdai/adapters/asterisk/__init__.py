"""Real telephone calls: Asterisk nodes, spoken to over their REST interface (ARI)."""

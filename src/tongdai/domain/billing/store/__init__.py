"""SQL of money: what calls cost (`catalogue`), and what is in the wallets (`wallets`, `ledger`)."""

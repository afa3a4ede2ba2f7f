"""Judge what is done with keys by the rules KS01 to KS16: findings."""

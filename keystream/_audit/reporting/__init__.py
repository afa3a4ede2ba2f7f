"""The report: findings as a value, as text, as a page, as JSON and as SARIF."""

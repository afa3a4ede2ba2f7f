"""The report: what was found, as a value, as text, as a page, and as what CI takes."""

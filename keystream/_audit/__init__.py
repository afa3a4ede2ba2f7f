"""The audit: from a program to findings about its keys.

`audit` is the public face, and `conclude` leads from a program to its report. Its stations:
`reading` follows keys through a jaxpr (or through what was recorded), `recording` has a running
program say which key words it uses, `judging` holds what is done with keys against the rules,
`reporting` makes a report of the findings. `plugin` and `entry` are for pytest, and stand here
because users name `keystream._audit.plugin` (`pytest -p`).
"""

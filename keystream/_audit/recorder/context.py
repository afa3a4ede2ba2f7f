"""What JAX's caches ask: is anything recorded?"""

from __future__ import annotations

import jax

context = jax.make_user_context(None)
"""Part of the keys of JAX's caches: while it is set, functions are traced, lowered and
compiled anew, by rules that record; what was compiled with it unset is kept and comes back.

It is made with `import keystream`, before the rest of the audit is imported: JAX would compile
again what was compiled before there was such a context."""

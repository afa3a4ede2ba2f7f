"""Make every picture of the documents, in a light and a dark form.

    python docs/pictures                  all of them
    python docs/pictures shards layers    some

It takes matplotlib, which the extra `demo` installs.
"""

from __future__ import annotations

import sys

import jax

import correlation
import devices
import key_tree
import layers
import look
import shards
import speed

PICTURES = {
    module.PICTURE.name: module.PICTURE
    for module in (key_tree, shards, devices, layers, correlation, speed)
}


def main(names: list[str]) -> None:
    """Write the pictures named, or all, and print their paths."""
    if unknown := set(names) - set(PICTURES):
        raise SystemExit(
            f"no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}"
        )
    for name in names or PICTURES:
        for path in look.write(PICTURES[name]):
            print(path.relative_to(look.HERE.parent.parent))


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    main(sys.argv[1:])

"""Wait until all that was launched on devices before has ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from keystream import _compat


def wait_for_all(devices: list[jax.Device]) -> None:
    """Wait until all that was launched before on these devices has ended.

    Programs of the same devices end in the order in which they began, so that one more of
    them, on each device and on all of them together, is the last.
    """
    if jax.sharding.get_abstract_mesh().empty:
        launch_last(devices)
        return
    # The mesh in context can't be put aside while something is traced; another thread has none.
    with ThreadPoolExecutor(1) as other:
        other.submit(launch_last, devices).result()


def launch_last(devices: list[jax.Device]) -> None:
    places: list[jax.sharding.Sharding] = [
        jax.sharding.SingleDeviceSharding(device) for device in devices
    ]
    if len(devices) > 1:
        mesh = jax.sharding.Mesh(np.array(devices), ("all",))
        places.append(jax.NamedSharding(mesh, jax.P("all")))
    # A recording may end while something is traced; the fences run all the same.
    with _compat.recording_set_aside(), jax.ensure_compile_time_eval():
        for place in places:
            _next(jax.device_put(np.zeros(len(devices)), place)).block_until_ready()


_next = jax.jit(lambda x: x + 1)

"""How fast a device multiplies plain matrices: what utilization is measured against."""

import time

import jax
import jax.numpy as jnp

_SIDES = {"cpu": 1024}  # elsewhere 8192: large enough to fill an accelerator
_TIMES = 5


def matmul_rate(dtype: str, side: int | None = None) -> float:
    """FLOP/s of the fastest of five products of two square matrices of `dtype`, on one device of this process."""
    side = side or _SIDES.get(jax.default_backend(), 8192)
    with jax.default_device(jax.local_devices()[0]):
        left = jnp.ones((side, side), dtype)
        product = jax.jit(lambda a, b: a @ b)
        product(left, left).block_until_ready()
        seconds = []
        for _ in range(_TIMES):
            started = time.perf_counter()
            product(left, left).block_until_ready()
            seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)

"""Entry to JAX: double precision, in a process and on a platform that can run it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import jax

from bayes_intgen.errors import BayesIntgenError

# Processes that have run compiled programs, of which a forked child inherits its parent's.
_STARTED: set[int] = set()


@contextmanager
def on_cpu() -> Iterator[None]:
    """Compute in double precision on the CPU; on another device if JAX has no CPU.

    An accelerator would be idle between the steps most of the time. JAX's own settings stay as they
    are: whatever the caller allows JAX to promote or transfer, and with whatever precision it
    multiplies matrices, results are the same.

    Raises
    ------
    BayesIntgenError
        In a process forked from one that has run compiled programs, whose threads it lacks: it
        would wait for them forever. Also if JAX's platform is not available.
    """
    if _STARTED and os.getpid() not in _STARTED:
        raise BayesIntgenError(
            "this process was forked from one that had fitted, and would hang; start processes "
            'with multiprocessing.get_context("spawn")'
        )
    _STARTED.add(os.getpid())
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS")
        raise BayesIntgenError(
            f"JAX cannot start on the platform {platforms!r}"
            f"{f' ({error})' if str(error) else ''}; set JAX_PLATFORMS=cpu"
        ) from error
    try:
        device = jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        device = nullcontext()
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.default_matmul_precision(None),
        jax.threefry_partitionable(True),
        device,
    ):
        yield

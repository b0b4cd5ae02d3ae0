"""The program of a fit runs in whatever precision NumPyro is set to."""

import jax
import numpy as np
import numpyro
from _kinds import fitted, read
from _worlds import World, numbers
from numpyro import handlers
from numpyro.infer.util import log_density

import bayes_intgen as bi


def test_a_program_works_in_either_precision() -> None:
    world = World({"red": numbers(lambda a: a)}, weight=0.0)
    data = read(world.table(60, ["", "red"]), world)
    data = data.add_lift_test("red", -1.0, 1.0, effect=2.0, se=0.5)
    program = fitted(data, bi.models.additive("linear"), draws=50).program(data)
    own = jax.config.jax_enable_x64
    densities = []
    try:
        for x64 in (False, True, False, True):
            numpyro.enable_x64(x64)
            # Another function each time, which is traced in this precision.
            density = jax.jit(lambda: log_density(handlers.seed(program, 0), (), {}, {})[0])()
            assert density.dtype == (np.float64 if x64 else np.float32)
            densities.append(float(density))
    finally:
        numpyro.enable_x64(own)
    assert densities[:2] == densities[2:]
    assert np.isfinite(densities).all()

"""Answers against other routes to them: quadrature, NUTS, least squares, a grid."""

import itertools
from typing import Any

import jax
import numpy as np
import numpyro
import pandas as pd
import pytest
from _kinds import TWO, case_of, fitted, read
from _rows import moments
from _worlds import World, numbers
from numpyro import handlers
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density

import bayes_intgen as bi

SLOPES = {"tv": 0.7, "radio": -0.3}


def lines(count: int, **over: float) -> World:
    """Straight contributions of one or two actions."""
    some = list(SLOPES.items())[:count]
    own = {name: numbers(lambda a, slope=slope: slope * a) for name, slope in some}
    return World(own, **{"noise": 0.6} | over)


@pytest.fixture
def _float64():
    with jax.enable_x64(True):
        yield


def quadrature(program, names, centre, root, nodes: int):
    """Posterior moments by Gauss-Hermite quadrature over logarithms of the hyperparameters.

    The weights of the coefficients are integrated out exactly: the log density of the program is
    quadratic in them, so that its gradients at unit vectors are its curvature. Returns the log
    evidence, and mean and sd of the coefficients, then of the logarithms of the hyperparameters.
    """
    size = program.terms.size
    sizes = [1 if name == "noise_sd" else len(centre) - 1 for name in names]

    def sites(log_values):
        parts = np.split(np.arange(len(centre)), np.cumsum(sizes)[:-1])
        own = {n: jax.numpy.exp(log_values[at]) for n, at in zip(names, parts, strict=True)}
        return own | {"noise_sd": own["noise_sd"][0]}

    def joint(weights, log_values):
        return log_density(program, (), {}, sites(log_values) | {"weights": weights})[0]

    def coefficients(weights, log_values):
        fixed = handlers.substitute(program, data=sites(log_values) | {"weights": weights})
        return handlers.trace(handlers.seed(fixed, 0)).get_trace()["coefficients"]["value"]

    @jax.jit
    @jax.vmap
    def integrated(log_values):
        values, slopes = jax.vmap(jax.value_and_grad(joint), (0, None))(
            jax.numpy.eye(size + 1, size, -1), log_values
        )
        precision = slopes[0] - slopes[1:]
        at = jax.numpy.linalg.solve(precision, slopes[0])
        log_det = jax.numpy.linalg.slogdet(precision)[1]
        highest = values[0] + 0.5 * slopes[0] @ at - 0.5 * log_det + log_values.sum()
        jacobian = jax.jacobian(coefficients)(at, log_values)
        covariance = jacobian @ jax.numpy.linalg.solve(precision, jacobian.T)
        return highest, coefficients(at, log_values), jax.numpy.diag(covariance)

    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.array(list(itertools.product(points, repeat=len(centre))))
    log_weights = np.log(list(itertools.product(weights, repeat=len(centre)))).sum(axis=1)
    log_values = centre + grid @ root.T
    height, means, variances = map(np.asarray, integrated(log_values))
    log_terms = height + log_weights + 0.5 * (grid**2).sum(axis=1)
    shares = np.exp(log_terms - log_terms.max())
    log_evidence = float(np.log(shares.sum()) + log_terms.max())
    shares /= shares.sum()
    every = np.concatenate([means, log_values], axis=1)
    within = np.concatenate([variances, np.zeros_like(log_values)], axis=1)
    mean = shares @ every
    return log_evidence, mean, np.sqrt(shares @ (within + (every - mean) ** 2))


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("count", "nodes"), [(1, (15, 19)), (2, (7, 9))])
def test_posterior_equals_quadrature(count, nodes) -> None:
    data = case_of(lines(count), rows=40).data
    model = bi.models.additive("linear", graph={}, interactions=None, spread="constant")
    fit = fitted(data, model, method="nuts", simplify=False, draws=1000)
    draws = fit.tree["posterior"].to_dataset()
    names = [name for name in ("scale", "noise_sd") if name in draws]
    logs = np.log(np.concatenate([draws[n].to_numpy().reshape(4000, -1) for n in names], axis=1))
    root, program = 1.3 * np.linalg.cholesky(np.cov(logs.T)), fit.program(data)
    results = [quadrature(program, names, logs.mean(axis=0), root, n) for n in nodes]
    # The quadrature has converged.
    assert results[0][0] == pytest.approx(results[1][0], abs=0.02)
    _, mean, sd = results[1]
    coefficients = fit.tree["coefficients"]["coefficients"].to_numpy().reshape(4000, -1)
    own = np.concatenate([coefficients, logs], axis=1)
    # Four Monte Carlo errors of 4,000 draws, of which a fifth at least is effective.
    np.testing.assert_allclose((own.mean(axis=0) - mean) / sd, 0, atol=4 / np.sqrt(800))
    np.testing.assert_allclose(own.std(axis=0) / sd, 1, atol=4 / np.sqrt(2 * 800))


@pytest.mark.usefixtures("_float64")
def test_posterior_equals_that_of_nuts_on_the_program() -> None:
    data = case_of(lines(2), rows=30).data
    model = bi.models.additive("linear", graph={})
    fit = fitted(data, model, draws=1000)
    chain = MCMC(NUTS(fit.program(data)), num_warmup=150, num_samples=300, progress_bar=False)
    chain.run(jax.random.key(0))
    samples = chain.get_samples()
    coefficients = fit.tree["coefficients"]["coefficients"].to_numpy().reshape(4000, -1)
    noise = np.log(fit.tree["posterior"]["noise_sd"].to_numpy().reshape(4000, 1))
    for own, other in (
        (coefficients, np.asarray(samples["coefficients"])),
        (noise, np.log(samples["noise_sd"])[:, None]),
    ):
        # A fifth of the draws at least is effective.
        errors = 4 * np.sqrt(own.var(axis=0) / 800 + other.var(axis=0) / 60)
        assert (np.abs(own.mean(axis=0) - other.mean(axis=0)) < errors).all()
        np.testing.assert_allclose(own.std(axis=0) / other.std(axis=0), 1, atol=4 / np.sqrt(2 * 60))


def test_table_without_hidden_causes_equals_least_squares() -> None:
    world = lines(2, weight=0.0)
    frame = world.table(400)
    fit = fitted(read(frame, world), bi.models.pooled("linear", spread="constant"))
    design = np.column_stack([np.ones(len(frame)), frame[["tv", "radio"]]])
    solution, (rss,), *_ = np.linalg.lstsq(design, frame["y"].to_numpy())
    points = np.array([[-0.8, 0.5], [0.0, 0.0], [1.0, -1.0]])
    rows = np.column_stack([np.ones(3), points])
    covariance = rss / (len(frame) - 3) * np.linalg.inv(design.T @ design)
    sd = np.sqrt(np.diag(rows @ covariance @ rows.T))
    mean, own_sd = moments(fit.joint_effect(points))
    np.testing.assert_allclose((mean - rows @ solution) / sd, 0, atol=0.15)
    np.testing.assert_allclose(own_sd / sd, 1, atol=0.12)


@pytest.mark.parametrize("kind", ["rows", "groups", "cells", "student_t"])
def test_noise_is_what_an_interaction_leaves(kind: str) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.integers(-3, 4, (3000, 2)), columns=["tv", "radio"], dtype=float)
    table["y"] = table["tv"] * table["radio"] + rng.normal(size=3000)
    table["regime"], table["g"] = ["", "tv", "radio"] * 1000, rng.integers(0, 100, 3000)
    roles: dict[str, Any] = {"groups": ["g"]} if kind == "groups" else {}
    if kind == "groups":
        table["y"] += rng.normal(size=100)[table["g"]]
    if kind == "cells":
        own = table.groupby(["regime", "tv", "radio"])["y"].agg(["mean", "size", "std"])
        table = own.reset_index().rename(columns={"mean": "y"})
        roles = {"weights": "size", "outcome_sd": "std"}
    model = bi.models.additive(noise=kind if kind == "student_t" else "gaussian")
    fit = fitted(bi.read(table, ["tv", "radio"], "y", "regime", **roles), model)
    # Counted as noise, the interaction would make it 1.6, and the cells' 4.1.
    assert moments(fit.tree["posterior"]["noise_sd"])[0] == pytest.approx(1.0, rel=0.1)


def test_best_plan_equals_brute_force() -> None:
    world = World(TWO, together=lambda rows: 0.5 * rows["tv"].to_numpy() * rows["radio"].to_numpy())
    fit = fitted(case_of(world).data, bi.models.additive(interactions=[("tv", "radio")]))
    decision = bi.Decision(
        cost={"tv": 1.0, "radio": 0.5}, budget=1.0, bounds={"tv": (0, 1), "radio": (0, 1.5)}
    )
    grid = pd.DataFrame(
        itertools.product(np.linspace(0, 1, 41), np.linspace(0, 1.5, 61)), columns=["tv", "radio"]
    )
    grid = grid[grid["tv"] + 0.5 * grid["radio"] <= 1 + 1e-9].reset_index(drop=True)
    draws = fit.joint_effect(grid).to_numpy().reshape(-1, len(grid))
    draws = draws - fit.joint_effect(fit.best(decision).baseline).to_numpy().reshape(-1, 1)
    worst = np.sort(draws, axis=0)[: len(draws) // 10].mean(axis=0)
    for objective, values in (("mean", draws.mean(axis=0)), (bi.CVaR(0.1), worst)):
        plan = fit.best(decision, objective)
        draws = np.sort(fit.contrast(plan.point, plan.baseline).to_numpy().ravel())
        value = (draws if objective == "mean" else draws[: len(draws) // 10]).mean()
        assert value >= values.max() - 1e-6
        # Half a step of the grid is worth no more than the largest change between neighbours.
        assert value <= values.max() + 0.02
        assert plan.cost <= 1 + 1e-9


def test_a_program_works_in_either_precision() -> None:
    world = World({"red": numbers(lambda a: a)}, weight=0.0)
    data = case_of(world, rows=60).data
    data = data.add_lift_test("red", -1.0, 1.0, effect=2.0, se=0.5)
    program = fitted(data, bi.models.additive("linear"), draws=50).program(data)
    own, densities = jax.config.jax_enable_x64, list[float]()
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

"""Arguments of public functions: right values are answered, wrong ones refused by one error.

Every argument has a kind (seed, count, probability, names, mapping, points, ...), and every kind
has right and wrong values, some of them random. Part of `bad_input`.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.posterior.effects import effect_table

from _attempts import attempt, expect

NAMES = ("red", "green")
Pool = Callable[[np.random.Generator], Any]
NOT_NUMBERS = ("a", "", None, [0.5], (1,), {}, object(), b"1", 1j, float("nan"), float("inf"),
               np.array([1, 2]), datetime(2020, 1, 1), pd.NaT, True, lambda: 1)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Functions of a random generator that make right and wrong values of one kind."""

    right: Sequence[Pool]
    wrong: Sequence[Pool]


def but_none(kind: Kind) -> Kind:
    """The same, for an argument that may be None."""
    wrong = [maker for maker in kind.wrong if maker(np.random.default_rng(0)) is not None]
    return Kind(kind.right, wrong)


def constants(*values: Any) -> list[Pool]:
    """Makers of the same value every time."""
    return [partial(lambda value, rng: value, value) for value in values]


def whole(minimum: int, maximum: int) -> Kind:
    """Whole numbers."""
    return Kind(
        [
            lambda rng: int(rng.integers(minimum, maximum)),
            lambda rng: rng.integers(minimum, maximum),
            lambda rng: np.int32(rng.integers(minimum, min(maximum, 2**31))),
        ],
        [
            *constants(*NOT_NUMBERS, 1.5, np.float64(4), Decimal(4)),
            lambda rng: minimum - 1 - int(rng.integers(0, 10**9)),
            lambda rng: float(rng.normal()),
        ],
    )


PROBABILITY = Kind(
    [lambda rng: float(rng.uniform(0.01, 0.99)), lambda rng: np.float32(rng.uniform(0.01, 0.99)),
     lambda rng: Fraction(int(rng.integers(1, 9)), 10)],
    [*constants(*NOT_NUMBERS, 0, 1, -0.5, 10**400), lambda rng: 1 + rng.exponential(),
     lambda rng: -rng.exponential()],
)  # fmt: skip
SETS = Kind(
    [
        lambda rng: list(rng.permutation(NAMES)[: rng.integers(0, 3)]),
        lambda rng: tuple(NAMES[: rng.integers(0, 3)]),
        lambda rng: (name for name in NAMES[: rng.integers(0, 3)]),
        lambda rng: dict.fromkeys(NAMES),
        lambda rng: np.array(NAMES),
        lambda rng: pd.Index(NAMES),
    ],
    [
        *constants(3, 1.5, "red", b"red", ["rde"], [None], [["red"]], [1], object(), [{}]),
        lambda rng: ["".join(map(chr, rng.integers(1, 0xD7FF, 5)))],
    ],
)
VALUES = Kind(
    [
        lambda rng: {"green": float(rng.normal())},
        lambda rng: {},
        lambda rng: {"green": np.float32(rng.normal())},
        *constants(None, {"green": 1}, {"green": "0.5"}),
    ],
    [
        *constants("green", [1], 3, {"gren": 1}, {1: 1}, b"green"),
        *(
            partial(lambda value, rng: {"green": value}, value)
            for value in (None, "x", np.nan, [1, 2], 1j, datetime(2020, 1, 1), {})
        ),
    ],
)
GRAPH = Kind(
    [*constants(
        None, "any", {}, {"green": ["red"]}, {"green": ("red",)}, {"green": set()}, {"green": None},
     ),
     lambda rng: {"green": (name for name in ["red"])}],
    constants(
        [1], "x", 3, {"green": "any"}, {"green": "red"}, {"green": 3}, {"green": ["blue"]},
        {"green": ["green"]}, {"green": ["red"], "red": ["green"]}, {1: ["red"]}, {"green": [None]},
    ),
)  # fmt: skip
PAIRS = Kind(
    [*constants(None, "auto", [], [("red", "green")], (["green", "red"],)),
     lambda rng: (pair for pair in [rng.permutation(NAMES).tolist()])],
    constants(
        "all", "red", b"auto", 3, ["red"], [["red"]], [("red", "red")], [("red", "blue")],
        [("red", "green", "blue")], [("red", 1)], [[["red"], "green"]], [None], object(),
        [("red", "green"), ("green", "red")],
    ),
)  # fmt: skip
PRIORS = Kind(
    constants("linear", "gp", bi.Linear(), bi.Polynomial(2), bi.Levels()),
    constants({}, [], 3, "gpp", None, bi.GP, ["gp"], object(), b"gp", np.array([1])),
)
OWN_PRIORS = Kind(
    constants(None, {}, {"red": "linear"}, {"red": bi.Spline()}),
    constants("linear", [1], {"red": None}, {"red": {}}, 3, {"red": "x"}, ["red"]),
)
LOG_NORMAL = Kind(
    [lambda rng: bi.LogNormal(rng.exponential() + 1e-9, rng.exponential() + 1e-9)],
    constants(*(v for v in NOT_NUMBERS if v is not None), None, -1, 3, (0.4, 1.5)),
)
POSITIVE = Kind(
    [lambda rng: rng.exponential() + 1e-3, lambda rng: int(rng.integers(1, 9))],
    [*constants(*NOT_NUMBERS, 0, -1, 10**400), lambda rng: -rng.exponential()],
)


def shaped(rng: np.random.Generator) -> np.ndarray:
    """Points of the fit's range, 1 to 5 rows."""
    return rng.uniform(-1, 1, size=(int(rng.integers(1, 6)), 2))


POINTS = Kind(
    [
        shaped,
        lambda rng: shaped(rng).tolist(),
        lambda rng: pd.DataFrame(shaped(rng), columns=NAMES),
        lambda rng: pd.DataFrame(shaped(rng), columns=NAMES)[["green", "red"]],
        lambda rng: dict(zip(NAMES, shaped(rng).T, strict=True)),
        lambda rng: [dict(zip(NAMES, row, strict=True)) for row in shaped(rng)],
        lambda rng: shaped(rng).astype(np.float32),
        lambda rng: shaped(rng) > 0,
        lambda rng: np.ma.masked_array(shaped(rng)),
        lambda rng: shaped(rng).astype(object),
    ],
    [
        *constants(*NOT_NUMBERS[:9], [[1]], [[1, 2, 3]], [["1", "2"]], [[1, None]], [[1j, 2]],
                   [[np.nan, 1]], [[10**400, 1]], {"red": 1}, {"red": 1, "green": "a"}, [{}],
                   {"red": [1, 2], "green": [1, 2, 3]}, [[timedelta(1), 1]], [[b"1", 2]]),
        lambda rng: shaped(rng) + 1j,
        lambda rng: shaped(rng).astype("datetime64[D]"),
        lambda rng: shaped(rng).astype("timedelta64[s]"),
        lambda rng: np.ma.masked_array(shaped(rng), mask=True),
        lambda rng: shaped(rng).astype(str),
        lambda rng: np.where(shaped(rng) == 3, 0, np.inf),
        lambda rng: shaped(rng)[None],
        lambda rng: shaped(rng)[:, :1],
        lambda rng: pd.DataFrame(shaped(rng), columns=["red", "gren"]),
        lambda rng: pd.DataFrame(shaped(rng), columns=NAMES).astype(str),
    ],
)  # fmt: skip
CORRELATIONS = Kind(
    [lambda rng: float(rng.uniform(0, 0.9)), lambda rng: rng.uniform(0, 0.9, 3), *constants(0)],
    [*constants("a", [], None, 1, -0.1, [[0.1]], float("nan"), {}, object(), 1j, [None], 2)],
)
LEVELS = Kind(
    [lambda rng: sorted(rng.uniform(0.1, 0.9, int(rng.integers(1, 4)))), *constants((0.5,))],
    constants([], 0.5, None, "0.5", [1], [0], ["a"], [None], [True], 3, {}, [[0.5]], object()),
)


def calls(data: bi.RegimeData, posterior: bi.Posterior) -> dict[str, tuple[Kind, Callable]]:
    """Functions of one argument, with its kind."""
    additive, frame = bi.models.additive, pd.DataFrame(data.actions, columns=NAMES)
    frame = frame.assign(y=data.outcome, regime="")
    point = [[0.1, 0.2]]
    # Within the range of every action.
    ends = data.actions.min(axis=0).max(), data.actions.max(axis=0).min()
    anything = constants(*NOT_NUMBERS[:9], frame, data.actions, posterior.model)
    others = Kind(constants(data), [*anything, lambda rng: posterior])
    seed, count = whole(0, 2**40), whole(1, 900)
    draws = but_none(whole(4, 900))
    settings = {"chains": whole(1, 8), "draws": draws, "warmup": whole(10, 900)}
    linear = additive("linear")

    def closed(figure_or_axes: Any) -> None:
        import matplotlib.pyplot as plt

        plt.close("all")

    return {
        **{
            f"fit({name})": (kind, lambda v, name=name: SamplerSettings(**{name: v}))
            for name, kind in {**settings, "seed": seed, "target_accept": PROBABILITY}.items()
            # None is the default of draws.
        },
        "fit(data)": (
            Kind([], others.wrong),
            lambda v: bi.fit(v, linear, draws=4, warmup=10, progress=False),
        ),
        "fit(model)": (
            Kind([], constants(*NOT_NUMBERS[:2], *NOT_NUMBERS[3:], "gp", data)),
            lambda v: bi.fit(data, v, progress=False),
        ),
        "joint_effect(points)": (POINTS, posterior.joint_effect),
        "mechanisms(grid)": (POINTS, posterior.mechanisms),
        "support(points)": (POINTS, data.support),
        "posterior.support(points)": (POINTS, posterior.support),
        "effect(intervened)": (SETS, lambda v: posterior.effect(point, v)),
        "outcome(intervened)": (SETS, lambda v: posterior.outcome(point, v)),
        "support(intervened)": (SETS, lambda v: data.support(point, v)),
        "identify(actions)": (SETS, data.identify),
        "only(regime)": (Kind(SETS.right[3:], SETS.wrong), lambda v: data.only([], ["red"], v)),
        "outcome(seed)": (seed, lambda v: posterior.outcome(point, seed=v)),
        "contraction(seed)": (
            Kind(seed.right[:1], seed.wrong), lambda v: posterior.contraction(point, seed=v)),
        "to_arviz(seed)": (
            seed, lambda v: posterior.to_arviz(data, rows=9, seed=v)),
        "to_arviz(rows)": (
            but_none(count), lambda v: posterior.to_arviz(data, rows=v)),
        "to_arviz(data)": (but_none(others), posterior.to_arviz),
        "check(seed)": (Kind([], seed.wrong), lambda v: bi.check(data, linear, seed=v)),
        "check(level)": (Kind([], PROBABILITY.wrong), lambda v: bi.check(data, linear, level=v)),
        "check(data)": (Kind([], others.wrong), lambda v: bi.check(v, linear)),
        "with_check(check)": (Kind([], [*anything, *others.right]), posterior.with_check),
        "sample(rows)": (count, data.sample),
        "batches(rows)": (count, lambda v: list(data.batches(v))),
        "support(graph)": (GRAPH, lambda v: data.support(point, graph=v)),
        "additive(graph)": (GRAPH, lambda v: additive("linear", v).decompose(data)),
        "additive(prior)": (PRIORS, additive),
        "additive(unconfounded)": (OWN_PRIORS, lambda v: additive("linear", unconfounded=v)),
        "additive(bias)": (OWN_PRIORS, lambda v: additive("linear", bias=v)),
        "additive(interactions)": (
            PAIRS, lambda v: additive("linear", interactions=v).decompose(data)),
        "additive(noise)": (
            Kind(constants("gaussian", "student_t"), anything), lambda v: additive(noise=v)),
        "additive(spread)": (
            Kind(constants(None, "constant"), [w for w in anything if w(0) is not None]),
            lambda v: additive(spread=v)),
        "additive(noise_scale)": (
            Kind(LOG_NORMAL.right, [w for w in LOG_NORMAL.wrong if w(0) is not None]),
            lambda v: additive(noise_scale=v)),
        "additive(intercept)": (
            Kind(constants(None, (0, 1), [1.5, np.float32(2)]),
                 constants(3, "ab", (1,), (1, 0), (1, -1), (1, "a"), {}, (1, 2, 3), (np.nan, 1))),
            lambda v: additive(intercept=v)),
        **{
            f"{prior.__name__}({name})": (LOG_NORMAL, lambda v, p=prior, n=name: p(**{n: v}))
            for prior in (bi.GP, bi.Spline, bi.Polynomial, bi.Linear, bi.Levels)
            for name in ("scale", "cross_action")
        },
        "GP(lengthscale)": (LOG_NORMAL, lambda v: bi.GP(lengthscale=v)),
        "Polynomial(degree)": (whole(1, 9), bi.Polynomial),
        "Spline(degree)": (whole(1, 9), lambda v: bi.Spline(degree=v)),
        "LogNormal(median)": (POSITIVE, lambda v: bi.LogNormal(v, 1)),
        "LogNormal(sigma)": (POSITIVE, lambda v: bi.LogNormal(1, v)),
        "prior_predictive(data)": (
            Kind([], others.wrong), lambda v: bi.prior_predictive(v, linear, draws=2)),
        "prior_predictive(draws)": (
            Kind([], count.wrong), lambda v: bi.prior_predictive(data, linear, draws=v)),
        "prior_predictive(seed)": (
            Kind([], seed.wrong), lambda v: bi.prior_predictive(data, linear, seed=v)),
        "sensitivity(rho)": (CORRELATIONS, lambda v: posterior.sensitivity(point, v)),
        "sensitivity(level)": (PROBABILITY, lambda v: posterior.sensitivity(point, 0.1, level=v)),
        "effect_table(level)": (
            PROBABILITY, lambda v: effect_table(posterior, point, level=v)),
        "report(level)": (
            Kind([], PROBABILITY.wrong), lambda v: posterior.report("/nowhere/x.html", level=v)),
        "plot_joint_effect(at)": (
            VALUES, lambda v: closed(posterior.plot_joint_effect("red", v, size=3))),
        "plot_joint_effect(action)": (
            Kind(constants(*NAMES), constants("blue", None, 3, ["red"], {}, b"red", 1.5)),
            lambda v: closed(posterior.plot_joint_effect(v, size=3))),
        "plot_joint_effect(levels)": (
            LEVELS, lambda v: closed(posterior.plot_joint_effect("red", levels=v, size=3))),
        "plot_joint_effect(size)": (
            whole(2, 30), lambda v: closed(posterior.plot_joint_effect("red", size=v))),
        "plot_contraction(at)": (
            Kind([], VALUES.wrong), lambda v: posterior.plot_contraction(v)),
        "from_frame(actions)": (
            Kind([], [*SETS.wrong, *constants(None, [], ["red", "red"], ["y"])]),
            lambda v: bi.RegimeData.from_frame(frame, v, "y", "regime")),
        "from_frame(frame)": (
            Kind([], anything[:9]),
            lambda v: bi.RegimeData.from_frame(v, NAMES, "y", "regime")),
        "from_arrays(outcome_name)": (
            Kind(constants("y", "$y$", "é"), constants("red", "a\0b", "\ud800")),
            lambda v: bi.RegimeData.from_arrays(
                data.actions, data.outcome, data.intervened, NAMES, outcome_name=v)),
        "from_arrays(names)": (
            Kind(constants(("a", "b"), ["$", "é"], np.array(NAMES)),
                 constants("ab", 3, ["a"], ["a", "a"], ["a", ""], ["a", "b\0"], ["a", "\ud800"])),
            lambda v: bi.RegimeData.from_arrays(
                data.actions, data.outcome, data.intervened, v)),
        "from_parquet(paths)": (
            Kind([], constants(None, 3, [], [None], [3], "absent.parquet", ["absent.parquet"], {})),
            lambda v: bi.StreamedData.from_parquet(v, NAMES, "y", "regime", progress=False)),
        "from_batches(tables)": (
            Kind([], constants(None, 3, [], [None], [3], lambda: None, lambda: 3, iter([frame]),
                               [frame["red"]], "ab", object())),
            lambda v: bi.StreamedData.from_batches(v, NAMES, "y", "regime", progress=False)),
        "dataset(seed)": (
            seed, lambda v: bi.simulators.Linear.random(2, seed=0).dataset(20, seed=v)),
        "add_lift_test(se)": (
            POSITIVE, lambda v: data.add_lift_test("red", *ends, 0.1, v)),
        "add_lift_test(action)": (
            Kind(constants(*NAMES), constants("blue", None, 3, ["red"], {})),
            lambda v: data.add_lift_test(v, *ends, 0.1, 0.1)),
    }  # fmt: skip


Case = tuple[str, Callable[[Any], Any], Pool, bool]


def cases_of(data: bi.RegimeData, posterior: bi.Posterior) -> list[Case]:
    """Name of the argument, call, maker of a value, and whether the value is right."""
    return [
        (name, call, make, is_right)
        for name, (kind, call) in calls(data, posterior).items()
        for is_right, makers in ((True, kind.right), (False, kind.wrong))
        for make in makers
    ]


def results(count: int, data: bi.RegimeData, posterior: bi.Posterior) -> list[tuple[str, str]]:
    """Pairs of call and outcome: every value of every argument, then random ones."""
    cases = cases_of(data, posterior)
    rng = np.random.default_rng(0)
    chosen = [*range(len(cases)), *rng.integers(0, len(cases), max(0, count - len(cases)))][:count]
    out = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in chosen:
            name, call, make, is_right = cases[i]
            value = make(rng)
            outcome = expect(attempt(_called, call, value), is_right)
            if outcome.startswith("FAILURE"):
                print(name, repr(value)[:80], outcome, flush=True)
            out.append((name, outcome))
    return out


def _called(function: Callable[[Any], Any], value: Any) -> str:
    function(value)
    return "answer"

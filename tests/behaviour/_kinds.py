"""Kinds of tables that users have, each with a small fit and its truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from _rows import fitted
from _worlds import Array, Cause, Known, World, counts, named, numbers, spend, switch

import bayes_intgen as bi

ROWS = 200


@dataclass(frozen=True)
class Case:
    """A table, its world, and what is asked of its fit.

    Attributes
    ----------
    world : World
    frame : DataFrame
    data : Rows
    model : Model, optional
    units : DataFrame
        Observed causes over which effects are averaged by default.
    given : dict
        Values of some observed causes; empty without any.
    population : DataFrame, optional
        Units over which effects are averaged instead.
    identified : bool
        Whether the level of the joint effect is; changes of it always are.
    single : bool
        Whether the outcome of a row is that of one unit, so that its spread is known.
    fit : callable
        Fits the data; few draws suffice, as errors are compared with posterior deviations.
    """

    world: World
    frame: pd.DataFrame
    data: bi.Rows
    model: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    population: pd.DataFrame | None = None
    identified: bool = True
    single: bool = True
    fit: Callable[["Case"], bi.Posterior] = lambda case: fitted(case.data, case.model, draws=100)

    @property
    def actions(self) -> list[str]:
        return list(self.world.actions)

    @property
    def units(self) -> pd.DataFrame:
        return self.frame[self.frame["regime"] == ""]

    @property
    def points(self) -> pd.DataFrame:
        """Three ordinary points."""
        return self.world.points

    @property
    def start(self) -> pd.DataFrame:
        """Point with which the others are compared."""
        return self.points.iloc[[1, 1, 1]].reset_index(drop=True)

    def identifies(self, intervened: Sequence[str]) -> bool:
        """Whether the regimes identify an effect."""
        return "not identified" not in str(self.data.identify(intervened))

    @property
    def smooth(self) -> list[str]:
        """Actions that are numbers."""
        levels = zip(self.actions, self.data.categories, strict=True)
        return [name for name, own in levels if own is None]

    def averaged_over(self, over: Mapping[str, Any]) -> pd.DataFrame:
        """Units of a query."""
        if "population" in over:
            return pd.DataFrame(over["population"])
        return self.units.assign(**over.get("given", {}))

    def truth(
        self, points: pd.DataFrame, over: Mapping[str, Any], intervened: Sequence[str] | None = None
    ) -> Array:
        """True effects at points."""
        return self.world.effect(
            points, self.actions if intervened is None else intervened, self.averaged_over(over)
        )


def read(frame: pd.DataFrame, world: World, **options: Any) -> bi.RegimeData:
    """Read a table of a world in memory."""
    return bi.RegimeData.from_frame(frame, [*world.actions], "y", "regime", **options)


def case_of(
    world: World,
    *,
    rows: int = ROWS,
    regimes: Sequence[str] | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    **over: Any,
) -> Case:
    """A case of rows in memory: history, and an experiment on each action."""
    frame = world.table(rows, regimes, seed)
    return Case(world, frame, read(frame, world, **options or {}), **over)


SPEND = {"tv": spend(), "radio": spend(0.3)}
TWO = {"tv": numbers(), "radio": numbers(lambda a: 0.5 * a)}
AGE = Cause(
    lambda rng, n: rng.normal(40.0, 8.0, n).round(1), lambda a: (a - 40) / 8, moves=0.5, adds=0.6
)
SITES = {"north": -0.6, "east": -0.1, "south": 0.2, "west": 0.9}


def labelled(scores: Mapping[str, float], **effects: float) -> Cause:
    """Text with a score for each label."""
    return Cause(
        lambda rng, n: rng.choice(list(scores), size=n),
        lambda cells: np.array([scores[cell] for cell in cells]),
        **effects,
    )


def regions(count: int, moves: float, adds: float) -> Cause:
    scores = np.random.default_rng(5).normal(size=count)
    own = lambda rng, n: rng.integers(0, count, n), lambda codes: scores[codes.astype(int)]
    return Cause(*own, moves, adds)


DAY0 = np.datetime64("2024-01-01")
AFTER = DAY0 + np.timedelta64(7 * 104, "D")


def season(dates: np.ndarray) -> Array:
    days = (np.asarray(dates, dtype="datetime64[D]") - DAY0).astype(int)
    return np.asarray(np.sin(2 * np.pi * days / 365.25) + days / 700)


WEEK = Cause(
    lambda rng, n: (DAY0 + 7 * rng.integers(0, 104, n)).astype("datetime64[ns]"),
    season,
    moves=0.5,
    adds=0.7,
)
SEASON = Cause(lambda rng, n: rng.normal(size=n).round(1), lambda cells: cells, moves=0.5, adds=1.0)
REGION = labelled(SITES | {"coast": 0.4, "lakes": -0.9}, moves=0.4, adds=0.8)
AGE_ALONE = {"covariates": ["age"]}


def with_population(case: Case) -> Case:
    """Ask for the effect over some of the rows too."""
    causes = [*dict(case.world.causes)]
    return replace(case, population=case.frame.iloc[:210:7][causes].reset_index(drop=True))


def covariates() -> Case:
    causes = {"age": AGE, "site": labelled(SITES, moves=0.5, adds=0.5)}
    world, options = World(TWO, causes, crossed=("age", "site", 0.8)), {"covariates": [*causes]}
    return with_population(case_of(world, options=options, given={"age": 48.0, "site": "west"}))


def history_first(step: float = 1.0) -> Case:
    """Two years of history, then experiments, and a step of the outcome's level between them."""

    def score(dates: np.ndarray) -> Array:
        return season(dates) + step * (np.asarray(dates, dtype="datetime64[D]") >= AFTER)

    early = replace(WEEK, score=score)
    late = replace(early, draw=lambda rng, n: WEEK.draw(rng, n) + (AFTER - DAY0))
    worlds = [World(TWO, {"week": own}) for own in (early, late)]
    tables = zip(worlds, ([""], [*TWO]), strict=True)
    frame = pd.concat([own.table(ROWS, regimes) for own, regimes in tables], ignore_index=True)
    data = read(frame, worlds[0], covariates=["week"])
    return Case(worlds[0], frame, data, identified=False)


def weekly(week: Cause, given: object) -> Case:
    """Regions week by week, which are in the model and say which rows follow each other."""
    world = World(TWO, {"region": REGION, "week": week})
    order = {"unit": "region", "time": "week"}
    options = {"groups": ["region"], "covariates": ["week"], **order}
    return case_of(world, options=options, given={"region": "west", "week": given})


def panel() -> Case:
    return weekly(WEEK, "2024-05-06")


def panel_of_numbered_weeks() -> Case:
    score = lambda numbers: season(DAY0 + 7 * numbers.astype(int))  # noqa: E731
    return weekly(replace(WEEK, draw=lambda rng, n: rng.integers(0, 104, n), score=score), 18)


def carry_over() -> Case:
    """Weeks of one series, in which tv acts for some weeks at a rate that is estimated."""
    world = World(TWO)
    frame, rate, length = world.table(ROWS), 0.5, 8
    weights = rate ** np.arange(length) / np.sum(rate ** np.arange(length))
    lags = [w * frame["tv"].shift(lag, fill_value=0.0) for lag, w in enumerate(weights)]
    change = np.tanh(sum(lags)) - np.tanh(frame["tv"])
    frame = frame.assign(y=frame["y"] + change, week=np.arange(len(frame)))
    model = bi.models.additive(carryover={"tv": bi.Adstock()})
    return Case(world, frame, read(frame, world, time="week"), model)


def moderators() -> Case:
    world = World(TWO, {"age": AGE}, moderated=("radio", "age", 0.4))
    model = bi.models.additive(moderators={"radio": ["age"]})
    return with_population(case_of(world, options=AGE_ALONE, model=model, given={"age": 46.0}))


def group_means() -> Case:
    """Many patients who differ in their usual actions, the means of which are covariates."""
    world = World(TWO, {"patient": regions(150, 0.5, 0.5)})
    case = case_of(world, rows=300, options={"groups": ["patient"]}, single=False)
    data = case.data.with_group_means()
    names, values = data.columns.names, data.in_memory.covariates.T
    means = dict(zip(names, values, strict=False))
    return replace(case, data=data, frame=case.frame.assign(**means))


def visits() -> Case:
    """Two visits of each of many patients, who keep their doses."""
    world = World(TWO)
    frame = pd.concat([world.table(ROWS).reset_index(names="patient")] * 2, ignore_index=True)
    frame["y"] += 0.3 * np.random.default_rng(4).normal(size=len(frame))
    return Case(world, frame, read(frame, world, groups=["patient"]), single=False)


def weighted() -> Case:
    """Rows that are means of n units, with hidden causes of the row."""
    world, rng = World(TWO, noise=0.0), np.random.default_rng(3)
    frame = world.table(300)
    size = np.exp(rng.uniform(0, 3, len(frame))).round()
    frame = frame.assign(n=size, y=frame["y"] + 1.5 * rng.normal(size=len(frame)) / np.sqrt(size))
    return Case(world, frame, read(frame, world, weights="n"), single=False)


def aggregated() -> Case:
    """Cells of units with the same actions, with the spread within each."""
    world = World({"visits": counts(), "promo": switch()})
    units = world.table(800)
    cells = cells_of(units, ["visits", "promo", "regime"])
    data = read(cells, world, weights="n", outcome_sd="sd")
    return Case(world, cells, data, single=False)


def cells_of(units: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Means and standard deviations of the units at each setting, and their number."""
    return units.groupby([*settings])["y"].agg(n="size", y="mean", sd="std").reset_index()


def lift_test() -> Case:
    """No row in which radio was set, but a summary of its experiment."""
    case = case_of(World(TWO), regimes=["", "tv"])
    tested = case.data.add_lift_test("radio", -1.0, 1.0, effect=1.02, se=0.05)
    # The level of the joint effect is that of the prior, which is wide, and so are outcomes.
    return replace(case, data=tested, identified=False, single=False)


def lift_test_beside_rows() -> Case:
    case = case_of(World(TWO))
    return replace(case, data=case.data.add_lift_test("radio", -1.0, 1.0, effect=1.02, se=0.05))


def missing_cells() -> Case:
    world = World(TWO, {"age": AGE, "site": labelled(SITES, adds=0.5)})
    rng, frame = np.random.default_rng(4), world.table(250)
    gaps = frame.assign(
        age=frame["age"].where(rng.random(len(frame)) > 0.1),
        site=frame["site"].where(rng.random(len(frame)) > 0.1),
    )
    options = {"covariates": ["age", "site"], "missing": {"age": "drop", "site": "level"}}
    with pytest.warns(bi.DataWarning, match="missing cells"):
        data = read(gaps, world, **options)
    return Case(world, frame[gaps["age"].notna()], data, given={"age": 45.0})


def stream(folder: Path) -> Case:
    """A file of each regime."""
    causes = {"age": AGE, "site": labelled(SITES, moves=0.5, adds=0.5), "week": WEEK}
    world = World(TWO, causes, crossed=("age", "site", 0.8))
    for regime, own in (frame := world.table(ROWS)).groupby("regime"):
        own.to_parquet(folder / f"do({regime}).parquet")
    data = bi.read(folder, [*TWO], "y", covariates=[*causes], progress=False)
    given = {"age": 48.0, "site": "west", "week": "2024-05-06"}
    return with_population(Case(world, frame, data, given=given))


def stream_in_time() -> Case:
    """Weeks of regions in which tv acts for some weeks, read in batches that cut regions."""
    case = carry_over()
    frame = case.frame.assign(region=[f"r{i // 100}" for i in range(len(case.frame))])
    batches = [frame[start : start + 170] for start in range(0, len(frame), 170)]
    order = {"unit": "region", "time": "week"}
    data = bi.read(batches, case.actions, "y", **order, progress=False)
    return replace(case, frame=frame, data=data)


def cluster(folder: Path) -> Case:
    from distributed import Client, LocalCluster

    case = case_of(World(TWO))
    case.frame.to_parquet(folder / "rows.parquet")
    local = {"processes": False, "threads_per_worker": 1, "silence_logs": 50}
    client = Client(LocalCluster(n_workers=1, dashboard_address="localhost:0", **local))
    data = bi.DistributedData.from_parquet(
        [folder / "rows.parquet"], case.actions, "y", "regime", client=client, progress=False
    )
    return replace(case, data=data)


def money() -> Case:
    world = World(TWO, {"age": AGE}, law="log", base=1.0)
    model = bi.models.multiplicative()
    return with_population(case_of(world, options=AGE_ALONE, model=model, given={"age": 45.0}))


def heavy_tails() -> Case:
    actions = {"tv": numbers(lambda a: 0.7 * a), "promo": switch()}
    world = World(actions, {"age": AGE}, law="student_t", noise=0.3)
    model = bi.models.additive("linear", noise="student_t")
    return case_of(world, options=AGE_ALONE, model=model, given={"age": 44.0})


def sampled() -> Case:
    """The default fit, by NUTS, with a covariate and groups."""
    causes = {"age": AGE, "region": labelled(SITES, moves=0.4, adds=0.8)}
    case = case_of(World(TWO, causes), rows=120, options=AGE_ALONE | {"groups": ["region"]})
    settings = {"method": "nuts", "chains": 2, "draws": 150}
    return replace(
        case, given={"age": 44.0, "region": "west"}, fit=lambda own: fitted(own.data, **settings)
    )


def zeros_and_ones() -> Case:
    actions = {"tv": numbers(lambda a: 0.06 * np.tanh(a)), "promo": switch(0.1)}
    return case_of(World(actions, weight=0.1, base=0.45, law="binary"), rows=400, seed=1)


def straight_lines() -> Case:
    lines = {"tv": numbers(lambda a: 0.7 * a), "radio": numbers(lambda a: 0.5 * a)}
    # E[C | A] is no straight line if the cause is -1 or 1: it does not act on the outcome here.
    world, model = World(lines, {"age": AGE}, weight=0.0), bi.models.additive("linear")
    return case_of(world, options=AGE_ALONE, model=model, given={"age": 44.0})


def updated() -> Case:
    case = covariates()
    old = np.arange(len(case.data)) % 12 > 0
    assert isinstance(case.data, bi.RegimeData)
    first, rest = case.data.take(old), case.data.take(~old)
    both = case.data.take(np.concatenate([np.flatnonzero(old), np.flatnonzero(~old)]))
    return replace(
        case, data=both, fit=lambda own: fitted(first, draws=100).update(rest, progress=False)
    )


def real_table() -> Case:
    """Readings of a real sensor, with the joint answer from all rows."""
    known = bi.datasets.light_tunnel(rows=300)
    frame = known.frame.rename(columns={known.outcome: "y"}).replace(
        {"regime": {"observational": ""}}
    )
    world = Known(known.joint, known.actions)
    return Case(world, frame, read(frame, world), single=False)


# Functions of a folder, or of nothing.
KINDS: dict[str, Callable[..., Case]] = {
    "plain": lambda: case_of(World(TWO)),
    "two_and_three_levels": lambda: case_of(
        World({"promo": switch(), "size": named({"small": -0.5, "medium": 0.1, "large": 0.9})})
    ),
    "named_levels": lambda: case_of(
        World({"drug": named({"no": 0, "a": 1, "b": -1}), "dose": numbers()}, {"season": SEASON}),
        options={"covariates": ["season"]},
        given={"season": 0.7},
    ),
    # Hardly any two rows have all levels in common.
    "many_named_levels": lambda: case_of(
        World({f"gene {i}": named({"a": 0.0, "b": 0.4 + 0.1 * i, "c": -0.3}) for i in range(6)})
    ),
    "counted_actions": lambda: case_of(World({"visits": counts(), "calls": counts(-0.1)})),
    "spend_with_zeros": lambda: case_of(World(SPEND)),
    "dates_and_season": lambda: case_of(
        World(TWO, {"week": WEEK}), options={"covariates": ["week"]}, given={"week": "2024-05-06"}
    ),
    # A season that moves the actions, whose hidden causes matter more where it is high. The spread
    # of the outcome depends on the season too, which is not in the model.
    "bias_that_depends_on_a_season": lambda: with_population(
        case_of(
            World(TWO, {"season": SEASON}, weight=0.8, scaled=("season", 0.6)),
            rows=600,
            options={"covariates": ["season"]},
            given={"season": 0.7},
            single=False,
        )
    ),
    "covariates": covariates,
    "moderators": moderators,
    "few_groups": lambda: with_population(
        case_of(
            World(TWO, {"region": REGION}, noise=1.0, uneven=("region", 1.0)),
            options={"groups": ["region"]},
            given={"region": "west"},
        )
    ),
    "many_groups": lambda: case_of(
        World(TWO, {"patient": regions(150, 0.0, 0.5)}),
        rows=300,
        options={"groups": ["patient"]},
        single=False,
    ),
    # Their sums are taken from bins.
    "many_rows": lambda: case_of(World(TWO), rows=17_000),
    "group_means": group_means,
    "visits": visits,
    "panel": panel,
    "panel_of_numbered_weeks": panel_of_numbered_weeks,
    "carry_over": carry_over,
    "weighted": weighted,
    "aggregated": aggregated,
    "alike_actions": lambda: case_of(
        World(SPEND | {"dose": numbers()}), model=bi.models.additive(alike=[["tv", "radio"]])
    ),
    "shaped": lambda: case_of(
        World(SPEND | {"dose": numbers()}),
        model=bi.models.additive(unconfounded={"tv": bi.GP(shape="increasing")}),
    ),
    "lift_test": lift_test,
    "lift_test_beside_rows": lift_test_beside_rows,
    "joint_regimes": lambda: case_of(
        World(TWO | {"print": numbers(lambda a: -0.4 * a)}), regimes=["", "tv+radio", "print"]
    ),
    "interaction": lambda: case_of(
        World(TWO, together=lambda rows: 0.6 * rows["tv"].to_numpy() * rows["radio"].to_numpy()),
        model=bi.models.additive(interactions=[("tv", "radio")]),
    ),
    "interacting_causes": lambda: case_of(
        World(TWO, pull=1.2, interacting=(1.0, 1.0)), regimes=["", *TWO, "tv+radio"]
    ),
    "missing_cells": missing_cells,
    "stream": stream,
    "stream_in_time": stream_in_time,
    "cluster": cluster,
    "zeros_and_ones": zeros_and_ones,
    "counted_outcome": lambda: case_of(World(TWO, law="count", weight=0.6), rows=300),
    "money": money,
    "heavy_tails": heavy_tails,
    "sampled": sampled,
    "straight_lines": straight_lines,
    "splines": lambda: case_of(
        World(TWO, {"age": AGE}),
        options=AGE_ALONE,
        model=bi.models.additive("spline"),
        given={"age": 44.0},
    ),
    # A plain regression, right where no hidden cause acts.
    "pooled": lambda: case_of(World(TWO, weight=0.0), model=bi.models.pooled()),
    # A regression for each regime, the joint one among them.
    "saturated": lambda: case_of(
        World(TWO), regimes=["", *TWO, "tv+radio"], model=bi.models.saturated()
    ),
    "updated": updated,
    "real_table": real_table,
}


def case_named(name: str, folder: Path) -> Case:
    """A case, which may have its rows in files of a folder."""
    kind = KINDS[name]
    return kind(folder) if signature(kind).parameters else kind()

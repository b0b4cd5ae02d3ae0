"""Commands of ``bayes-intgen``.

Exit codes: 0 done; 1 the input cannot be used; 2 the command line is wrong; 3 done, but the result
is not reliable (``--strict``, ``check``); 70 a defect of the program; 130 interrupted.
"""

# Commands import heavy modules themselves, so that help appears at once.
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from bayes_intgen._atomic import atomic_write, writable_target
from bayes_intgen.cli import options, parsing
from bayes_intgen.cli.console import DONE, DOUBTFUL, log, recorded, show_progress, write
from bayes_intgen.cli.experiments import DECISIONS
from bayes_intgen.cli.model import model_of
from bayes_intgen.cli.points import (
    Point,
    checked_point,
    completed,
    default_point,
    points_of_file,
    read_population,
    require_actions,
    rows_of_fit,
)
from bayes_intgen.cli.proposal import explained, options_of, proposal, proposed_roles
from bayes_intgen.errors import DataError, PointsError, SamplingWarning

if TYPE_CHECKING:
    from bayes_intgen.data.rows import Rows

HELP = """Estimate joint effects of several actions from data in which one was set at a time.

A data file has a column for each action, one for the outcome, and one for the regime: the actions
set in the row, none (empty, or observational), one (red), or several (red+green).
"""
EPILOGUE = """Everywhere: --quiet (-q) shows warnings and errors only, --debug shows where an error
comes from. Results go to standard output, progress and warnings to standard error.
Exit codes: 0 done, 1 the input cannot be used, 2 wrong command line, 3 done but not reliable
(--strict and a warning, check and a violation or nothing to test), 70 a defect of the program,
130 interrupted."""

app = App(
    name="bayes-intgen",
    help=HELP,
    help_epilogue=EPILOGUE,
    version_flags=["--version"],
    result_action="return_value",
)


@app.command(sort_key=1)
def describe(
    data: options.Data,
    *,
    outcome: options.Outcome,
    actions: options.Actions = None,
    regime: options.Regime = "regime",
    covariates: options.Covariates = None,
    groups: options.Groups = None,
    weights: options.Weights = None,
    outcome_sd: options.OutcomeSd = None,
    missing: options.Missing = "error",
    format: options.TableOrJson = "table",
) -> int:
    """Summarise a file without a fit: columns, regimes, identified effects, ranges, and problems.

    Without --actions, explain the columns and propose their roles.
    """
    from bayes_intgen.assess.summary import summarise_data
    from bayes_intgen.data.files import regular_file

    with regular_file(data) as source:
        if not actions:
            write(proposal(source, outcome, regime, format))
            return DONE
        rows = _rows(
            source,
            actions,
            outcome,
            regime,
            covariates,
            groups,
            weights=weights,
            outcome_sd=outcome_sd,
            missing=missing,
            require_observational=False,
        )
        notes = explained(source, _roles(rows, outcome, regime, weights, outcome_sd), regime)
    report = summarise_data(rows, support=False, columns=notes)
    write(report.to_json() if format == "json" else str(report))
    return DONE


def _roles(
    rows: "Rows", outcome: str, regime: str, weights: str | None, outcome_sd: str | None
) -> dict[str, str]:
    """Role of each column that data use."""
    others = {regime: "regime", weights: "weights", outcome_sd: "sd of the outcome"}
    roles = {outcome: "outcome", **{n: role for n, role in others.items() if n is not None}}
    roles |= dict.fromkeys(rows.names, "action") | dict.fromkeys(rows.columns.names, "covariate")
    return roles | dict.fromkeys(rows.columns.groups, "group")


@app.command(sort_key=2)
def fit(
    data: options.Data,
    *,
    outcome: options.Outcome,
    output: options.Output,
    actions: options.Actions = None,
    regime: options.Regime = "regime",
    covariates: options.Covariates = None,
    groups: options.Groups = None,
    weights: options.Weights = None,
    outcome_sd: options.OutcomeSd = None,
    missing: options.Missing = "error",
    graph: options.Graph = None,
    interactions: options.Interactions = None,
    moderators: options.Moderators = None,
    prior: options.Prior = "gp",
    multiplicative: options.Multiplicative = False,
    noise: options.Noise = "gaussian",
    method: options.Method = "nuts",
    seed: options.Seed = 0,
    chains: options.Chains = 4,
    draws: options.Draws = None,
    warmup: options.Warmup = 75,
    target_accept: options.TargetAccept = 0.7,
    checkpoint: options.Checkpoint = None,
    strict: options.Strict = False,
) -> int:
    """Fit a file, and save the posterior.

    A Parquet file is read in passes, never as a whole (with Gaussian noise).
    """
    import bayes_intgen as bi

    _require_writable(output, data, checkpoint)
    model = model_of(prior, graph, interactions, multiplicative, moderators=moderators, noise=noise)
    rows = _rows(
        data,
        actions,
        outcome,
        regime,
        covariates,
        groups,
        weights=weights,
        outcome_sd=outcome_sd,
        missing=missing,
        in_memory=noise == "student_t",
    )
    with recorded(SamplingWarning) as problems:
        posterior = bi.fit(
            rows,
            model,
            method=method,
            seed=seed,
            chains=chains,
            draws=draws,
            warmup=warmup,
            target_accept=target_accept,
            progress=show_progress(),
            checkpoint=checkpoint,
        )
    posterior.save(output)
    log(f"{posterior}\nsaved to {output}")
    return DOUBTFUL if strict and problems else DONE


@app.command(sort_key=3)
def effect(
    fit: options.Fit,
    *,
    set: options.Set = None,
    points: options.Points = None,
    from_: options.From = None,
    observed: options.Observed = None,
    given: options.Given = None,
    population: options.Population = None,
    level: options.Level = 0.9,
    format: options.Format = "table",
) -> int:
    """Estimate the mean outcome with actions set to values, and the change from another point.

    Bands of the mean show its uncertainty; those of outcomes contain single outcomes. Of outcomes
    that are zeros and ones the table has the probability of a one instead.
    """
    from bayes_intgen.api.loading import load
    from bayes_intgen.posterior.effects import effect_table
    from bayes_intgen.text import tables

    posterior = load(fit)
    observed_point = checked_point(observed, posterior)
    points_to_set = [checked_point(text, posterior) for text in set or ()]
    _require_unobserved(points_to_set, observed_point, "{name!r} is both set and observed")
    values = completed(points_to_set, observed_point, posterior)
    if points is not None:
        values += points_of_file(points, posterior)
    if not values:
        raise PointsError("there is no point; write --set tv=2,radio=1, or --points FILE")
    baseline = None
    if from_ is not None:
        start = checked_point(from_, posterior)
        _require_unobserved([start], observed_point, "--from would change {name!r}")
        baseline = [{**point, **start} for point in values]
    intervened = [name for name in posterior.actions if name not in observed_point]
    over = read_population(given, population)
    table = effect_table(posterior, values, intervened, baseline=baseline, level=level, **over)
    write(tables.format_effects(table, format))
    if pairs := table.attrs.get("unmoderated"):
        log(
            "note: these effects do not depend on the covariates given; to let them, fit with "
            f"--moderators {pairs}"
        )
    return DONE


for name, command in DECISIONS.items():
    app.command(command, name=name, sort_key=4)


@app.command(sort_key=5)
def plot(
    fit: options.Fit,
    *,
    output: options.Output,
    action: options.Axes = None,
    at: options.At = None,
    given: options.Given = None,
    population: options.Population = None,
    level: options.Level = 0.9,
) -> int:
    """Plot the joint effect along actions: mean, bands, and a band of outcomes (dotted).

    The suffix of the output file determines its format: png, svg, pdf.
    """
    output = output if output.suffix else output.with_suffix(".png")
    _require_writable(output, fit, population)
    import io

    import matplotlib as mpl

    mpl.use("agg")
    from bayes_intgen.api.loading import load
    from bayes_intgen.cli.effect_grid import plot_effect_grid

    posterior = load(fit)
    point = {**default_point(posterior), **checked_point(at, posterior)}
    names = parsing.parse_names(action, posterior.actions) or list(posterior.actions)
    require_actions(names, posterior)
    over = read_population(given, population)
    figure = plot_effect_grid(posterior, names, point, level=level, **over)
    picture = io.BytesIO()
    try:
        figure.savefig(picture, dpi=150, format=output.suffix.removeprefix("."))
    except ValueError as error:
        raise PointsError(f"{output} cannot be written: {error}") from error
    atomic_write(output, picture.getvalue())
    log(f"written to {output}")
    return DONE


@app.command(sort_key=5)
def report(
    fit: options.Fit,
    *,
    output: options.Output,
    given: options.Given = None,
    population: options.Population = None,
    level: options.Level = 0.9,
    data: options.DataToCheck = None,
    regime: options.RegimeOfFit = None,
) -> int:
    """Write a report with a planner of joint effects as one self-contained HTML file."""
    _require_writable(output, fit, population, data)
    from bayes_intgen.api.loading import load
    from bayes_intgen.assess.checks import check as check_assumptions

    posterior = load(fit)
    if data is not None:
        rows = rows_of_fit(data, posterior, regime, progress=show_progress())
        assumptions = check_assumptions(rows, posterior.model, progress=show_progress())
        posterior = posterior.with_check(assumptions)
    posterior.report(output, level=level, **read_population(given, population))
    log(f"written to {output}")
    return DONE


@app.command(sort_key=6)
def check(
    data: options.Data,
    *,
    outcome: options.Outcome,
    actions: options.Actions = None,
    regime: options.Regime = "regime",
    covariates: options.Covariates = None,
    groups: options.Groups = None,
    weights: options.Weights = None,
    outcome_sd: options.OutcomeSd = None,
    missing: options.Missing = "error",
    graph: options.Graph = None,
    interactions: options.Interactions = None,
    moderators: options.Moderators = None,
    prior: options.Prior = "gp",
    multiplicative: options.Multiplicative = False,
    held_out: options.HeldOut = 0.25,
    seed: int = 0,
    format: options.TableOrJson = "table",
) -> int:
    """Test the assumptions that the data can contradict.

    Exits with 3 if they are violated, or if nothing could be tested. The statement includes its
    uncertainty and the violations that the data cannot reveal.
    """
    import bayes_intgen as bi

    model = model_of(prior, graph, interactions, multiplicative, moderators=moderators)
    rows = _rows(
        data,
        actions,
        outcome,
        regime,
        covariates,
        groups,
        weights=weights,
        outcome_sd=outcome_sd,
        missing=missing,
    )
    result = bi.check(rows, model, held_out=held_out, seed=seed, progress=show_progress())
    write(result.to_json() if format == "json" else str(result))
    if found := result.moderators:
        pairs = ",".join(f"{action}:{name}" for action, own in found.items() for name in own)
        log(f"note: to let these effects depend on covariates, fit with --moderators {pairs}")
    return DONE if result.violated is False else DOUBTFUL


@app.command(sort_key=7)
def demo(
    *,
    output: options.Folder = Path("bayes-intgen-demo"),
    rows: Annotated[int, Parameter(help="Rows per regime.")] = 500,
    prior: options.Prior = "gp",
    draws: options.Draws = None,
    seed: int = 0,
) -> int:
    """Simulate advertising and sales, fit them, and compare the estimates with the truth.

    Writes data.csv, fit.nc and report.html, and prints the commands that would do the same.
    """
    from bayes_intgen.cli.demonstration import demonstrate
    from bayes_intgen.models import additive

    if rows < 20:
        raise DataError(f"rows must be at least 20, not {rows}")
    with recorded(SamplingWarning):
        text = demonstrate(
            output, rows, log, seed=seed, model=additive(prior), draws=draws,
            progress=show_progress(),
        )  # fmt: skip
    write(text)
    return DONE


def _rows(
    data: Path,
    actions: Sequence[str] | None,
    outcome: str,
    regime: str,
    covariates: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    **settings: Any,
) -> "Rows":
    from bayes_intgen.data.files import columns_of_file, regular_file, rows_of_file

    if not actions:
        options = options_of(proposed_roles(data, outcome, regime))
        raise DataError(
            f"no actions are named; `bayes-intgen describe` explains the columns. A proposal to "
            f"check and change: {options}"
        )
    with regular_file(data) as source:
        whole = columns_of_file(source)
        names, others, units = (
            parsing.parse_names(texts, whole) or [] for texts in (actions, covariates, groups)
        )
        return rows_of_file(
            source, names, outcome, regime, covariates=others, groups=units,
            progress=show_progress(), **settings,
        )  # fmt: skip


def _require_writable(output: Path, *inputs: Path | None) -> None:
    """Refuse an output that cannot be written, before hours of sampling rather than after.

    Nor may it replace an input, under whatever name.
    """
    if not output.absolute().parent.is_dir():
        raise DataError(f"there is no folder {output.absolute().parent} to write {output.name} to")
    if output.is_dir():
        raise DataError(f"{output} is a folder; name a file to write")
    target = writable_target(output)
    for path in (own for own in inputs if own is not None):
        is_same = path.exists() and target.exists() and path.samefile(target)
        # Neither exists yet where a checkpoint would have the same name.
        if is_same or os.path.realpath(path) == str(target):
            raise DataError(f"--output {output} would replace {path}, an input; name another file")


def _require_unobserved(points: Sequence[Point], observed: Point, message: str) -> None:
    for name in (name for point in points for name in point):
        if name in observed:
            raise PointsError(f"{message.format(name=name)}; leave it out of one of the options")

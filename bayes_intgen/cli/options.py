"""Options that several commands share, and what they stand for: rows, a model, a decision.

The docstrings of the classes are the help texts.
"""

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from bayes_intgen.cli import parsing
from bayes_intgen.cli.console import Style, show_progress
from bayes_intgen.cli.points import (
    Point,
    checked_point,
    completed,
    points_of_file,
    refuse_observed,
)
from bayes_intgen.errors import DataError, DataWarning
from bayes_intgen.text.messages import in_words

if TYPE_CHECKING:
    import narwhals as nw

    from bayes_intgen.api.posterior import Posterior
    from bayes_intgen.data.rows import Rows
    from bayes_intgen.decide.decision import Decision
    from bayes_intgen.models import AdditiveModel

Data = Annotated[Path, Parameter(help="CSV, Parquet or Arrow (Feather) file; - reads a pipe.")]
Fit = Annotated[Path, Parameter(help="A saved fit; - reads a pipe.")]
Output = Annotated[Path, Parameter(alias="-o", help="File to write; - writes to a pipe.")]
Format = Annotated[Style, Parameter(help="Print a text, or CSV or JSON for other programs.")]
Number = Annotated[float, Parameter(converter=parsing.as_number)]
Count = Annotated[int, Parameter(converter=parsing.as_count)]
Texts = list[str] | None
Pairs = Annotated[Texts, Parameter(allow_leading_hyphen=True)]
# Column of the actions set in each row, by default.
REGIME = "regime"


@dataclass(frozen=True)
class Options:
    """Options of several commands."""

    def words(self) -> list[str]:
        """Options that are not the defaults, for a command to run next.

        Examples
        --------
        >>> ModelOptions(graph=["tv=radio", "radio="]).words()
        ['--graph', 'tv=radio', '--graph', 'radio=']
        >>> Columns("sales", ["tv", "radio"], label=["BAU="], missing=["drop"]).words()
        ['--outcome', 'sales', '--actions', 'tv,radio', '--label', 'BAU=', '--missing', 'drop']
        """
        words = []
        for own in fields(self):
            option, value = f"--{own.name.replace('_', '-')}", getattr(self, own.name)
            if value is True:
                words.append(option)
            elif value and value != own.default:
                texts = [value] if isinstance(value, str) else value
                # Names that contain commas need an option each.
                is_apart = own.name in ("label", "cell", "graph")
                apart = [text for text in texts if is_apart or "," in text]
                together = ",".join(text for text in texts if text not in apart)
                for text in filter(None, [together, *apart]):
                    words += [option, text]
        return words


@Parameter(name="*", group=Group("Columns", sort_key=10))
@dataclass(frozen=True)
class Columns(Options):
    """Columns of a file of rows.

    Attributes
    ----------
    outcome
        Column of the outcome; without it `describe` proposes one.
    actions
        Columns of the actions, separated by commas; without them `describe` proposes some. Text,
        booleans and categories are levels.
    regime
        Column of the actions set in each row; by default the one called regime.
    label
        What a label in the column of regimes stands for, as "TV test=tv", "Both=tv+radio", or BAU=
        where no action was set. Repeat it for further labels.
    covariates
        Columns of observed causes that no action changes, such as season,age.
    groups
        Columns of units whose rows belong together, such as region,patient.
    group_means
        Whether what each of many small groups usually does is a covariate.
    weights
        Column of the number of units of which a row is the mean.
    outcome_sd
        Column of the standard deviation of the outcome among these units.
    unit
        Column of the unit, such as a region, whose rows follow each other by time.
    time
        Column of dates or numbers by which rows follow each other.
    missing
        Missing cells: error, drop (leave out their rows) or level (of covariates that are text); by
        column as age=drop, or drop,holiday=level for drop in all others.
    cell
        What a text stands for in columns of numbers or dates of a text file, as none=0, or lost=
        for missing cells. Repeat it for further texts.
    """

    outcome: Annotated[str | None, Parameter(alias="-y")] = None
    actions: Annotated[Texts, Parameter(alias="-a")] = None
    regime: Annotated[str | None, Parameter(alias="-r")] = None
    label: Pairs = None
    covariates: Texts = None
    groups: Texts = None
    group_means: bool = False
    weights: str | None = None
    outcome_sd: str | None = None
    unit: str | None = None
    time: str | None = None
    missing: Texts = None
    cell: Pairs = None

    def lacks(self, table: "nw.DataFrame[Any]") -> list[str]:
        """Options without which the rows of a table cannot be read."""
        regime = self.regime or (REGIME if REGIME in table.columns else None)
        needed = {"--outcome": self.outcome, "--actions": self.actions, "--regime": regime}
        return [option for option, value in needed.items() if not value]

    def several(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Columns of the roles that several columns may have."""
        roles = {"actions": self.actions, "covariates": self.covariates, "groups": self.groups}
        return {role: parsing.parse_names(own, names) for role, own in roles.items()}

    def roles(self, names: Sequence[str]) -> dict[str, str]:
        """Roles of the columns that are named, of those of a table."""
        roles = {self.unit: "unit", self.time: "time", self.weights: "weights"}
        roles |= {self.outcome_sd: "sd of the outcome", self.outcome: "outcome"}
        roles |= {self.regime: "regime"}
        for role, own in self.several(names).items():
            roles |= dict.fromkeys(own, role.removesuffix("s"))
        return {name: role for name, role in roles.items() if name is not None}

    def rows(self, data: Path, *, require_observational: bool = True) -> "Rows":
        """Read the rows of a file; raises DataError with a proposal if roles are not named."""
        from bayes_intgen.cli.proposal import command, explained
        from bayes_intgen.data.files import is_streamed, read_table
        from bayes_intgen.data.reading import read

        regime = self.regime or REGIME
        table = read_table(data, regime, head=True, cells=parsing.parse_cells(self.cell))
        if self.outcome is None or self.lacks(table):
            raise DataError(
                f"{in_words(self.lacks(table))} must be named; `{command('describe', data)}` "
                "explains the columns. A proposal to check: "
                f"{shlex.join(explained(data, data, self).columns.words())}"
            )
        # Other files are in memory already.
        rows = read(
            data if is_streamed(data) and not self.cell else table,
            outcome=self.outcome, regime=regime, **self.several(table.columns),
            labels=parsing.parse_labels(self.label), weights=self.weights,
            outcome_sd=self.outcome_sd, unit=self.unit, time=self.time,
            missing=parsing.parse_missing(self.missing),
            require_observational=require_observational, progress=show_progress(),
        )  # fmt: skip
        return rows.with_group_means() if self.group_means else rows


def load_fit(fit: Path) -> "Posterior":
    """Load a saved fit."""
    from bayes_intgen.api.posterior import load
    from bayes_intgen.data.files import regular_file

    with regular_file(fit) as source:
        return load(source)


@Parameter(name="*")
@dataclass(frozen=True)
class RowsOfFit:
    """Data of a fit; the other options are by default those of the fit.

    Attributes
    ----------
    data
        The data of the fit: the report then checks the assumptions.
    regime
        Column of the actions set in each row of --data.
    label
        What a label in it stands for, as "TV test=tv".
    missing
        Missing cells of --data: error, drop or level, also by column.
    cell
        What a text stands for in columns of numbers or dates of --data.
    """

    data: Path | None = None
    regime: Annotated[str | None, Parameter(alias="-r")] = None
    label: Pairs = None
    missing: Texts = None
    cell: Pairs = None

    def rows(self, source: Path, posterior: "Posterior") -> "Rows":
        """Read the rows of a fit from a file, by the names of the columns that were fitted.

        Raises
        ------
        DataError
            If the file has other covariates, groups or weights than the rows of the fit.
        """
        from bayes_intgen.data.group_means import mean_name
        from bayes_intgen.data.missing import words_of_missing
        from bayes_intgen.data.schema import SINGLE_ROLES
        from bayes_intgen.posterior.draws import support_of

        fitted, support = posterior.terms.covariates, support_of(posterior)
        means = {mean_name(name, group) for name in posterior.actions for group in fitted.groups}
        covariates = [name for name in fitted.names if name not in means]
        missing = {"": fitted.missing} if isinstance(fitted.missing, str) else fitted.missing
        meanings = {label: "+".join(own) for label, own in fitted.meanings.items()}
        columns = Columns(
            outcome=posterior.outcome_name,
            actions=list(posterior.actions),
            regime=self.regime or fitted.regime or None,
            label=[f"{k}={v}" for k, v in (meanings | parsing.parse_labels(self.label)).items()],
            covariates=covariates,
            groups=list(fitted.groups),
            group_means=len(covariates) < len(fitted.names),
            **{role: getattr(fitted, role) or None for role in SINGLE_ROLES},
            missing=self.missing or words_of_missing(missing)[1:],
            cell=self.cell,
        )
        with warnings.catch_warnings():
            # The fit has said how the file was read.
            warnings.simplefilter("ignore", DataWarning)
            rows = columns.rows(source, require_observational=False)
        return support.rows_of_fit(rows) if support.covariates_digest else rows


@Parameter(name="*", group=Group("Model", sort_key=20))
@dataclass(frozen=True)
class ModelOptions(Options):
    """An additive or a multiplicative model.

    Attributes
    ----------
    graph
        Which actions affect which, as child=parent,parent for each child that has parents, child=?
        where they are unknown; none: no action affects another; any: each may affect every other.
        By default the rows in which an action was set show which it affects.
    interactions
        Pairs of actions that interact, as tv,radio; none: no pair interacts; by default those for
        which there is evidence.
    alike
        Actions with the same unit whose effects are alike, such as channels, as tv,radio: they
        share what their rows tell as far as the rows say that they are. Repeat it for further
        groups.
    moderators
        Actions whose effects depend on covariates, as drug:age,drug:sex.
    carryover
        Actions that act for some periods of --time, as tv, or at a known rate, as tv=0.5.
    prior
        Prior of every function.
    levels
        Actions with few values, such as doses, whose effects at these are estimated one by one.
    shape
        What is known of effects, as tv=increasing,radio="increasing concave": free, increasing,
        decreasing, concave or increasing concave.
    multiplicative
        The outcome is positive and its logarithm adds up: revenue, durations.
    """

    graph: Texts = None
    interactions: Texts = None
    alike: Texts = None
    moderators: Texts = None
    carryover: Texts = None
    prior: Literal["gp", "spline", "polynomial", "linear"] = "gp"
    levels: Texts = None
    shape: Texts = None
    multiplicative: bool = False

    def model(self, noise: Literal["gaussian", "student_t"] = "gaussian") -> "AdditiveModel":
        """Build the model.

        Raises
        ------
        ModelError
            If a text has a wrong form, or a multiplicative outcome has Student-t noise.
        """
        from bayes_intgen.models import additive, multiplicative
        from bayes_intgen.models.mechanisms.parametric import Levels

        graph = parsing.parse_graph(self.graph or ())
        pairs = parsing.parse_interactions(self.interactions or ())
        moderators = parsing.parse_moderators(self.moderators or ())
        levels = dict.fromkeys(parsing.parse_names(self.levels), Levels(ordered=True))
        settings: dict[str, Any] = {"interactions": pairs, "moderators": moderators}
        settings["alike"] = parsing.parse_name_groups(self.alike or ())
        settings["carryover"] = parsing.parse_carryover(self.carryover or ())
        shaped = parsing.parse_shapes(self.shape or (), self.prior, levels)
        settings |= {"unconfounded": {**levels, **shaped}, "bias": levels}
        build = multiplicative if self.multiplicative else additive
        return build(self.prior, graph, noise=noise, **settings)


@Parameter(name="*")
@dataclass(frozen=True)
class Over:
    """The population over which effects are averaged.

    Attributes
    ----------
    given
        Covariates and groups at which effects are evaluated, as age=40,region=north; averages over
        the observational rows in the others. Repeat it with further values of one for their
        average; region='new group' is a group that is not in the data.
    population
        File of rows over which effects are averaged: CSV, Parquet or Arrow, a column per covariate
        and grouping. With 'bootstrap', intervals include that the observational rows are a sample
        of their population.
    """

    given: Texts = None
    population: Path | None = None

    def view(self, posterior: "Posterior") -> "Posterior":
        """Ask a posterior about this population."""
        rows: Any = None
        if self.population == Path("bootstrap"):
            rows = "bootstrap"
        elif self.population is not None:
            from bayes_intgen.data.files import read_table, regular_file

            with regular_file(self.population) as source:
                rows = read_table(source)
        known = posterior.terms.covariates.every
        given = parsing.parse_given(self.given, known) if self.given else None
        return posterior.given(given).over(rows)


@Parameter(name="*")
@dataclass(frozen=True)
class Bands(Over):
    """The population over which effects are averaged, and the probability of intervals."""

    level: Annotated[float, Parameter(help="Probability of the intervals.")] = 0.9


@Parameter(name="*")
@dataclass(frozen=True)
class Points:
    """Points to set.

    Attributes
    ----------
    set
        Values or levels to set, as tv=2,drug=on; repeat it for further points. Other actions are
        set to those of the supported observational row nearest to the medians.
    points
        File of points to set: CSV, Parquet or Arrow, a column per action.
    """

    set: Annotated[Texts, Parameter(alias="-s")] = None
    points: Path | None = None

    def read(self, posterior: "Posterior", observed: Point) -> list[Point]:
        """Read the points, with observed values and defaults for actions that are not set."""
        points = [checked_point(text, posterior) for text in self.set or ()]
        for point in points:
            refuse_observed(point, observed, "{name!r} is both set and observed")
        points = completed(points, observed, posterior)
        if self.points is None:
            return points
        return points + points_of_file(self.points, observed, posterior)


@Parameter(name="*")
@dataclass(frozen=True)
class Worth:
    """Costs and worth of plans, and the plan with which they are compared.

    Attributes
    ----------
    cost
        Cost per unit of actions, as tv=1,radio=0.4, 0 for the others; 1 alone: of every action
        without named levels.
    baseline
        Plan to compare with, as tv=30. Other actions are at those of the supported observational
        row nearest to the medians.
    value
        Worth of a unit of the outcome, in the currency of the costs: plans are then compared by
        profit, value times mean outcome minus cost.
    """

    cost: str | None = None
    baseline: str | None = None
    value: Number | None = None

    def decision(self, posterior: "Posterior") -> "Decision":
        """Parse the parts of a decision on the actions of a fit."""
        from bayes_intgen.decide.decision import Decision

        actions = zip(posterior.actions, posterior.categories, strict=True)
        numeric = [name for name, levels in actions if levels is None or levels.numeric]
        costs = parsing.parse_costs(self.cost, numeric)
        start = checked_point(self.baseline, posterior)
        return Decision(costs, baseline=start, value=self.value)


@Parameter(name="*")
@dataclass(frozen=True)
class Limits(Worth):
    """Plans to choose from.

    Attributes
    ----------
    bounds
        Values to choose from, as tv=0..60,drug=off|on, or one to hold the action there, as tv=30;
        by default all that rows support.
    """

    bounds: str | None = None

    def decision(self, posterior: "Posterior") -> "Decision":
        bounds = parsing.parse_bounds(self.bounds, posterior.actions)
        return replace(super().decision(posterior), bounds=bounds)


@Parameter(name="*")
@dataclass(frozen=True)
class Choice(Limits):
    """Plans to choose from within a budget.

    Attributes
    ----------
    budget
        Largest total cost; no limit by default.
    """

    budget: Number | None = None

    def decision(self, posterior: "Posterior") -> "Decision":
        return replace(super().decision(posterior), budget=self.budget)


BeyondSupport = Annotated[bool, Parameter(help="Also consider plans that no rows support.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Plans(Choice):
    """Plans to choose from, perhaps beyond the support of the rows."""

    beyond_support: BeyondSupport = False

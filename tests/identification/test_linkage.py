import itertools
from collections.abc import Sequence

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.distance import placed
from bayes_intgen.identification.regimes import Mask

VALUES = 3
Cell = tuple[int, ...]


def all_masks(count: int) -> list[Mask]:
    return list(itertools.product((False, True), repeat=count))


def oracle(
    parents: list[list[int]],
    design: list[tuple[Cell, Mask]],
    questions: list[Cell],
    target: Mask,
    pairs: Sequence[tuple[int, int]] = (),
) -> np.ndarray:
    """Whether each question lies in the row space of the design, with all tables free."""

    def terms(cell: Cell, mask: Mask) -> set[tuple]:
        """Those of the mean in a cell: c, phi_k, psi_jk, and delta_k of each action not set."""
        contributions = {("phi", k, value) for k, value in enumerate(cell)}
        interactions = {("psi", j, k, cell[j], cell[k]) for j, k in pairs}
        observed = [k for k, was_set in enumerate(mask) if not was_set]
        biases = {("delta", k, cell[k], *(cell[j] for j in parents[k])) for k in observed}
        return {("c",)} | contributions | interactions | biases

    known = [terms(cell, mask) for cell, mask in design]
    wanted = [terms(cell, target) for cell in questions]
    columns = sorted(set().union(*known, *wanted), key=repr)
    rows = [[[column in row for column in columns] for row in some] for some in (known, wanted)]
    matrix, targets = (np.array(own, float) for own in rows)
    weights = np.linalg.lstsq(matrix.T, targets.T, rcond=1e-9)[0]
    return np.abs(targets.T - matrix.T @ weights).max(axis=0) < 1e-7


def random_graph(rng: np.random.Generator, count: int) -> list[list[int]] | None:
    """Parents of each action in a random DAG, or None for an unknown graph."""
    if rng.random() < 0.4:
        return None
    order = rng.permutation(count)
    parents: list[list[int]] = [[] for _ in range(count)]
    for later in range(count):
        for earlier in range(later):
            if rng.random() < 0.5:
                parents[order[later]].append(int(order[earlier]))
    return [sorted(others) for others in parents]


def random_design(rng: np.random.Generator, count: int, product: bool) -> list[tuple[Cell, Mask]]:
    """Random cells with rows: products of values that a regime reaches, or any cells."""
    masks = [(False,) * count, *(tuple(j == k for j in range(count)) for k in range(count))]
    masks = [mask for mask in masks if rng.random() < 0.9]
    masks += [mask for mask in all_masks(count) if mask not in masks and rng.random() < 0.15]
    if not masks:
        masks = [(False,) * count]
    share = rng.uniform(0.4, 1)
    design = []
    for mask in masks:
        cells = list(itertools.product(range(VALUES), repeat=count))
        if product:
            reached = rng.random((count, VALUES)) < share
            reached[np.arange(count), rng.integers(0, VALUES, count)] = True
            cells = [cell for cell in cells if all(reached[k, v] for k, v in enumerate(cell))]
        else:
            cells = [cell for cell in cells if rng.random() < share] or cells[:1]
        design += [(cell, mask) for cell in cells]
    return design


def rows_of(design: list[tuple[Cell, Mask]], rng: np.random.Generator) -> bi.RegimeData:
    """Eight rows per cell, so that distances between a regime's own rows are zero."""
    cells, masks = (np.repeat(own, 8, axis=0) for own in zip(*design, strict=True))
    names = tuple(f"a{k + 1}" for k in range(cells.shape[1]))
    arrays = cells.astype(float), rng.normal(size=len(cells)), masks
    return bi.RegimeData.from_arrays(*arrays, names, require_observational=False)


def supported_at(
    data: bi.RegimeData, points: np.ndarray, target: Mask, parents: list[list[int]] | None
) -> np.ndarray:
    """Whether each point is supported, in a graph or in an unknown one."""
    names, graph = np.array(data.names), None
    if parents is not None:
        graph = {name: names[own].tolist() for name, own in zip(names, parents, strict=True)}
    return data.support(points, names[list(target)].tolist(), graph).supported.to_numpy()


def test_supported_points_are_identified_whatever_the_interactions() -> None:
    cells = list(itertools.product((0, 1), repeat=3))
    every = [[j for j in range(3) if j != k] for k in range(3)]
    n_supported = n_identified = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        masks = [(False,) * 3, *(tuple(j == k for j in range(3)) for k in range(3))]
        design = [(c, mask) for mask in masks for c in cells if rng.random() < 0.75]
        pairs = [p for p in itertools.combinations(range(3), 2) if rng.random() < 0.6] or [(0, 1)]
        data = rows_of(design, rng)
        named = [(data.names[j], data.names[k]) for j, k in pairs]
        model = bi.models.additive(interactions=named)
        posterior = bi.fit(data, model, method="laplace", draws=50, progress=False)
        supported = posterior.support(np.array(cells, float)).supported.to_numpy()
        identified = oracle(every, design, cells, (True,) * 3, pairs)
        assert not (supported & ~identified).any(), seed
        n_supported, n_identified = n_supported + supported.sum(), n_identified + identified.sum()
    assert 0 < n_supported == n_identified < 5 * len(cells)


@pytest.mark.slow
@pytest.mark.parametrize("product", [True, False])
def test_supported_points_are_exactly_the_identified_ones_with_few_values(product: bool) -> None:
    rng = np.random.default_rng(0 if product else 1)
    supported = identified = points = designs = 0
    while designs < 200:
        count = int(rng.integers(2, 4))
        design, parents = random_design(rng, count, product), random_graph(rng, count)
        values = [sorted({cell[k] for cell, _ in design}) for k in range(count)]
        if min(map(len, values)) < 2:
            continue
        designs += 1
        data = rows_of(design, rng)
        known = parents or [[j for j in range(count) if j != k] for k in range(count)]
        questions = list(itertools.product(*values))
        for target in ((True,) * count, all_masks(count)[rng.integers(2**count)]):
            accepted = supported_at(data, np.array(questions, dtype=float), target, parents)
            truth = oracle(known, design, questions, target)
            assert not (accepted & ~truth).any(), (design, parents, target)
            supported, identified = supported + accepted.sum(), identified + truth.sum()
            points += len(truth)
    # With few values the conditions are exact.
    assert supported == identified
    # Both results occur.
    assert 0.1 * points < identified < 0.9 * points


@pytest.mark.slow
def test_no_unidentified_point_is_supported_over_ranges() -> None:
    """Each regime covers a box; functions are free tables over the cells between box edges."""
    rng = np.random.default_rng(5)
    wrong = supported = identified = points = 0
    for _ in range(100):
        count = int(rng.integers(2, 4))
        masks = [(False,) * count, *(tuple(j == k for j in range(count)) for k in range(count))]
        masks += [m for m in all_masks(count) if m not in masks and rng.random() < 0.15]
        low = rng.uniform(0, 3, (len(masks), count))
        high = low + rng.uniform(1.5, 5, low.shape)
        actions = rng.uniform(low[:, None], high[:, None], (len(masks), 300, count))
        actions = actions.reshape(-1, count)
        arrays = actions, rng.normal(size=len(actions)), np.repeat(masks, 300, axis=0)
        data = bi.RegimeData.from_arrays(*arrays, list("abc"[:count]))
        parents = random_graph(rng, count)
        known = parents or [[j for j in range(count) if j != k] for k in range(count)]
        ends = [np.unique([low[:, k], high[:, k]]) for k in range(count)]
        queries = rng.uniform(actions.min(axis=0), actions.max(axis=0), (200, count))
        # Leave out points near box edges, where rows beyond an edge count as near.
        clear = np.ones(len(queries), dtype=bool)
        for k, column in enumerate(queries.T):
            axis = Coordinate.of(actions[:, k]), None
            gaps = placed(*axis, column)[:, None] - placed(*axis, ends[k])
            clear &= np.abs(gaps).min(axis=1) > 0.3
        queries = queries[clear]
        if not len(queries):
            continue
        along = zip(ends, queries.T, strict=True)
        codes = np.stack([np.searchsorted(e, column) - 1 for e, column in along], axis=1)
        design = []
        for i, mask in enumerate(masks):
            inside = [(e[:-1] >= low[i, k]) & (e[1:] <= high[i, k]) for k, e in enumerate(ends)]
            cells = itertools.product(*(np.flatnonzero(own).tolist() for own in inside))
            design += [(cell, mask) for cell in cells]
        for target in ((True,) * count, all_masks(count)[rng.integers(2**count)]):
            accepted = supported_at(data, queries, target, parents)
            truth = oracle(known, design, [tuple(c) for c in codes.tolist()], target)
            wrong += (accepted & ~truth).sum()
            supported, identified = supported + accepted.sum(), identified + truth.sum()
            points += len(truth)
    assert wrong == 0
    assert supported > 0.95 * identified
    assert 0.2 * points < identified < 0.8 * points

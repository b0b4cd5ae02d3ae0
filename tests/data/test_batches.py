import numpy as np
import pytest

from bayes_intgen.data.batches import ROWS_PER_BATCH, map_batches, rows_per_batch

from conftest import confounded_rows


@pytest.mark.parametrize("rows", [1, 700, 2048, 4096, 4097, 12_000, 99_991, 1_000_000])
def test_batches_are_of_nearly_one_size(rows) -> None:
    size = rows_per_batch(rows)
    ends = [*range(0, rows, size), rows]
    lengths = np.diff(ends)
    assert lengths.max() <= ROWS_PER_BATCH
    # The last one lacks at most a row per batch.
    assert lengths.max() - lengths.min() < len(lengths)
    assert len(lengths) == 1 or len(lengths) % 2 == 0


def test_few_rows_are_one_batch_and_more_are_shared_by_threads() -> None:
    few = confounded_rows(60, seed=1)
    many = few.take(np.resize(np.arange(len(few)), 3000))
    lengths = [list(map_batches(rows, len, "", False)) for rows in (few, many)]
    assert lengths == [[len(few)], [1500, 1500]]

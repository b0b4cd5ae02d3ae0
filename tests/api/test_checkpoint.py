import io
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, frame_of

import bayes_intgen as bi
from bayes_intgen._atomic import with_checksum, without_checksum
from bayes_intgen.data.first_pass import SAMPLE_ROWS

from conftest import confounded_rows

# Linear models are fitted fastest, but do not follow the sine in these rows, as a warning says.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
POINTS, LINEAR = [[0.1, 0.2], [-0.4, 0.3]], bi.models.additive("linear")


def effect(data: bi.Rows, checkpoint: Path | None = None, model=LINEAR, **settings) -> np.ndarray:
    return fitted(data, model, checkpoint=checkpoint, **settings).joint_effect(POINTS).to_numpy()


COLUMNS = (["red", "green"], "intensity", "regime")


def stream(frame: pd.DataFrame) -> bi.StreamedData:
    return bi.StreamedData.from_batches([frame[:20_000], frame[20_000:]], *COLUMNS, progress=False)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return frame_of(confounded_rows(11_000, seed=4))


def test_a_fit_from_a_checkpoint_reads_no_rows_and_has_the_same_draws(frame, tmp_path) -> None:
    data, file = stream(frame), tmp_path / "run"
    expected, made = effect(data), [data.passes.made]
    for _ in range(2):
        np.testing.assert_array_equal(effect(data, file), expected)
        made.append(data.passes.made)
    assert made[0] < made[1] == made[2]
    # The sums are those of every seed, whose draws differ.
    assert not np.isclose(effect(data, file, seed=1), expected).all()
    # Rows outside the sample are part of the data, too.
    other, outside = frame.copy(), ~frame["intensity"].isin(data.in_memory.outcome)
    other.loc[outside.idxmax(), "intensity"] += 0.1
    with pytest.raises(bi.SavedFitError, match="fit with other data"):
        effect(stream(other), file)


def test_a_checkpoint_is_refused_where_the_order_of_rows_gives_another_sample(
    frame, tmp_path
) -> None:
    data, file = bi.RegimeData.from_frame(frame, *COLUMNS), tmp_path / "run"
    expected = effect(data, file)
    np.testing.assert_array_equal(effect(data, file), expected)
    turned = bi.RegimeData.from_frame(frame[::-1], *COLUMNS)
    assert len(turned) > len(turned.sample(SAMPLE_ROWS))
    with pytest.raises(bi.SavedFitError, match="fit with other data"):
        effect(turned, file)


PROGRAM = """
import sys, warnings
import bayes_intgen as bi
from conftest import confounded_rows
warnings.simplefilter("ignore")
bi.fit(confounded_rows(150, seed=3), bi.models.additive("linear"), draws=400_000,
       progress=False, checkpoint=sys.argv[1])
"""


def test_a_fit_that_was_killed_has_the_draws_of_one_that_was_not(tmp_path) -> None:
    file, tests = tmp_path / "run", Path(__file__).parents[1]
    env = os.environ | {"PYTHONPATH": f"{tests}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(file)], env=env) as process:
        began = time.monotonic()
        while not file.exists() and time.monotonic() < began + 120:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    data, settings = confounded_rows(150, seed=3), {"method": "nuts", "draws": 30, "chains": 2}
    before = file.read_bytes()
    np.testing.assert_array_equal(effect(data, file, **settings), effect(data, **settings))
    assert file.read_bytes() == before


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("noise", ["gaussian", "student_t"])
def test_all_kinds_of_terms_are_kept(noise: str, simplify: bool, tmp_path) -> None:
    data = confounded_rows(100, seed=6).add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.3)
    model = bi.models.additive("spline", noise=noise)
    expected = effect(data, None, model, simplify=simplify)
    for _ in range(2):
        found = effect(data, tmp_path / "run", model, simplify=simplify)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"simplify": False}, "simplify"),
        ({"model": bi.models.additive("polynomial")}, "model"),
        ({"data": confounded_rows(20, seed=9)}, "data"),
    ],
)
def test_the_checkpoint_of_another_fit_raises_and_is_left_as_it_is(other, what, tmp_path) -> None:
    data, file = confounded_rows(100, seed=6), tmp_path / "run"
    effect(data, file)
    before = file.read_bytes()
    with pytest.raises(bi.SavedFitError, match=f"fit with other {what}; name another file"):
        effect(**{"data": data, "checkpoint": file, **other})
    assert file.read_bytes() == before


def test_foreign_and_damaged_files_raise(tmp_path) -> None:
    data, file = confounded_rows(100, seed=6), tmp_path / "run"
    effect(data, file)
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    damaged = [whole[: len(whole) // 2], b"precious", b""]
    for place in (8, len(whole) // 2, -40):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(changed))
    # A file without the sums, whole otherwise.
    archive = io.BytesIO()
    with np.load(io.BytesIO(without_checksum(whole))) as arrays:
        np.savez(archive, **{name: values for name, values in arrays.items() if name != "matrix"})
    damaged.append(with_checksum(archive.getvalue()))
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(bi.SavedFitError, match="is no checkpoint, or damaged; name another"):
            effect(data, file)
        assert file.read_bytes() == content
    with pytest.raises(IsADirectoryError, match="name a file"):
        effect(data, tmp_path)
    file.unlink()
    with warnings.catch_warnings(action="error", category=bi.DataWarning):
        effect(data, file)
    assert len(file.read_bytes()) == len(whole)

"""The video of a run: its pictures, its command line, and one tiny run on the real tasks from start to frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10.play import grid, key_values, labelled, main, read_options, write_video
from experiments.mt10.simulator import load_simulator
from tests.mt10.runs import run_one, small


def test_a_grid_of_ten_is_two_rows_of_five() -> None:
    pictures = [np.full((8, 6, 3), i, dtype=np.uint8) for i in range(10)]
    picture = grid(pictures)
    assert picture.shape == (16, 30, 3)
    assert picture[0, 0, 0] == 0 and picture[0, 29, 0] == 4 and picture[15, 0, 0] == 5 and picture[15, 29, 0] == 9
    assert grid(pictures[:1]).shape == (8, 6, 3) and grid(pictures[:3]).shape == (8, 18, 3)
    seven = grid(pictures[:7])
    assert seven.shape == (16, 24, 3) and not seven[8:, 18:].any(), "the last row is filled up"


def test_a_success_shows() -> None:
    plain = np.full((64, 64, 3), 200, dtype=np.uint8)
    before, after = labelled(plain, "reach", False), labelled(plain, "reach", True)
    assert before.shape == plain.shape and (before[-1, -1] == 200).all()
    assert tuple(after[-1, -1]) == (0, 158, 115)


@pytest.mark.parametrize("given", [["--out", "a.gif"], ["--out=a.gif"], ["out=a.gif"]])
def test_both_ways_to_write_a_setting(given: list[str]) -> None:
    options = read_options(["run=somewhere", *given])
    assert (options.run, options.out, options.task) == ("somewhere", "a.gif", None)
    assert key_values(["--help"]) == ["--help"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "run is missing"),
        (["run=x", "out=film.avi"], "ends in .mp4 or .gif"),
        (["run=x", "size=7"], "even number of pixels"),
        (["run=x", "every=0"], "at least 1 step"),
        (["run=x", "speed=3"], "speed is unknown"),
        (["run=/nowhere"], "holds no MT10 run"),
    ],
)
def test_bad_input_is_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(given)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and message in line


def test_the_control_problem_has_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_one(small(tmp_path, "trainer.steps=40"))
    with pytest.raises(SystemExit):
        main([f"run={tmp_path / record['name']}"])
    assert "nothing to draw" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_frames_are_encoded(suffix: str, tmp_path: Path) -> None:
    import imageio.v3 as imageio

    frames = [np.full((32, 48, 3), 40 * i, dtype=np.uint8) for i in range(4)]
    write_video(tmp_path / f"film.{suffix}", frames)
    read = imageio.imread(tmp_path / f"film.{suffix}")
    assert read.shape == (4, 32, 48, 3)
    assert read.astype(int)[:, 16, 24, 0] == pytest.approx([0, 40, 80, 120], abs=8)
    with pytest.raises(UserError, match="choose another out"):
        write_video(Path("/dev/null/film.mp4"), frames)


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of one episode on two Meta-World tasks."""
    try:
        load_simulator()
    except UserError as error:
        pytest.skip(str(error))
    overrides = ["profile=mt10-paper", "tasks=[reach,window-open]", "trainer.steps=170", "trainer.initial_steps=140"]
    overrides += ["trainer.evaluate_every=150", "run.checkpoint_every=40"]
    root = tmp_path_factory.mktemp("real")
    record = run_one(small(root, *overrides))
    assert record["status"] == "finished" and [entry["step"] for entry in record["epochs"]] == [150, 170]
    assert record["data"]["profile"] == "mt10-paper" and "simulator" not in record["data"]["source"]
    assert not record["data"]["synthetic"] and record["data"]["horizon"] == 150
    losses = record["epochs"][-1]["train_losses"]
    assert set(losses) == {f"{part}/{task}" for part in ("critic", "actor") for task in ("reach", "window-open")}
    return root / record["name"]


def test_a_real_run_trains_and_is_recorded(real_run: Path) -> None:
    assert (real_run / "policy.pt").stat().st_size < 100_000


def test_a_real_run_is_played(real_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import imageio.v3 as imageio

    out = tmp_path / "rollout.mp4"
    try:
        main([f"run={real_run}", f"out={out}", "size=64", "every=75"])
    except SystemExit:
        error = capsys.readouterr().err
        if "cannot draw here" in error:
            pytest.skip(error)
        raise AssertionError(error) from None
    printed = capsys.readouterr().out
    assert "reach: " in printed and "window-open: " in printed and str(out) in printed
    frames = imageio.imread(out)
    assert frames.shape == (3, 64, 128, 3) and frames.std() > 10, "something is drawn"


def test_a_task_that_the_run_lacks_is_named(real_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([f"run={real_run}", "task=push"])
    assert "the run has reach, window-open" in capsys.readouterr().err


def test_a_run_without_its_policy_is_named(
    real_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "record.json").write_bytes((real_run / "record.json").read_bytes())
    with pytest.raises(SystemExit):
        main([f"run={tmp_path}"])
    assert "holds no policy.pt" in capsys.readouterr().err
    (tmp_path / "policy.pt").write_bytes(b"damaged")
    with pytest.raises(SystemExit):
        main([f"run={tmp_path}"])
    assert "policy.pt cannot be used" in capsys.readouterr().err

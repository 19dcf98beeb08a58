"""Look at a finished run: pictures of its test frames and its curves, as PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from experiments.common.checkpoint import load_network
from experiments.common.config import choose_device
from experiments.common.errors import UserError
from experiments.common.files import output_folder
from experiments.common.records import RECORD, read_record
from experiments.common.style import save_figure
from experiments.scenes.config import SceneConfig
from experiments.scenes.data import spread
from experiments.scenes.frames import Frames
from experiments.scenes.pictures import curves_picture, frame_picture, predicted
from experiments.scenes.problem import frames_of_run, network_of, tasks_of
from experiments.scenes.scene_set import SceneSet


@dataclass
class ShowOptions:
    run: str = MISSING
    out: str | None = None
    count: int | None = None
    root: str | None = None
    device: str = "auto"


def show(scenes: SceneSet, options: ShowOptions) -> Path:
    """Write a picture of each test frame and ``curves.png``; returns their folder.

    Raises :class:`UserError` for a run that is not finished, not of this set, or without its network or data.
    """
    if options.count is not None and options.count < 1:
        raise UserError(f"count is {options.count}; expected at least 1, or leave it out for every test frame.")
    folder = Path(options.run)
    record = _finished(scenes, folder)
    config = _configuration(folder, record)
    if options.root is not None:
        config.data.root = options.root
    device = choose_device(options.device)
    network = network_of(scenes, config)
    load_network(folder, network)
    network.to(device)
    frames = _its_frames(scenes, config, record)
    out = Path(options.out) if options.out is not None else folder / "pictures"
    count = len(frames.test) if options.count is None else min(options.count, len(frames.test))
    with output_folder(out):
        _save(curves_picture(scenes, record), out / "curves")
        for position in tqdm(spread(frames.test, count), "drawing", unit="frame", disable=None):
            batch = frames.batch(position[None])
            predictions = predicted(network, tasks_of(scenes, config), batch)
            number = f"{int(frames.identity[position]):04d}"
            _save(frame_picture(scenes, batch, predictions, number), out / number)
    print(f"{out}: curves.png and pictures of {count} test frames")
    return out


def _finished(scenes: SceneSet, folder: Path) -> dict[str, Any]:
    record = read_record(folder)
    if record is None:
        raise UserError(f"{folder} has no {RECORD}; give run=FOLDER, the folder of a finished run of {scenes.title}.")
    if record["benchmark"] != scenes.name:
        raise UserError(
            f"{folder} is a run of {record['benchmark']}, not of {scenes.name}; use "
            f"python -m experiments.{record['benchmark']}.show if there is one, or give another run."
        )
    if record["status"] != "finished":
        raise UserError(f"the run in {folder} is not finished ({record['status']}); repeat its command first.")
    return record


def _configuration(folder: Path, record: dict[str, Any]) -> SceneConfig:
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SceneConfig), record["config"]))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the configuration in {folder / RECORD} is of another version ({reason}); delete its folder, run again."
        ) from error
    assert isinstance(config, SceneConfig)
    return config


def _its_frames(scenes: SceneSet, config: SceneConfig, record: dict[str, Any]) -> Frames:
    frames = frames_of_run(scenes, config)
    trained, found = record["data"]["source"], frames.provenance["source"]
    if trained != found:
        raise UserError(
            f"the run was trained on {trained}, but what is found here is {found}; give root=PATH of its store."
        )
    return frames


def _save(figure: Figure, path: Path) -> None:
    save_figure(figure, path, ["png"], dpi=100)

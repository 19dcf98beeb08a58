"""A video of a finished run's policy: ``python -m experiments.mt10.play run=runs/mt10/NAME out=rollout.mp4``.

Settings, each as key=value (or --key value):

  run=FOLDER          the folder of a finished run (required)
  out=rollout.mp4     the video, .mp4 or .gif
  task=reach          one task; else all of the run's in a grid
  size=240            pixels of each task's picture, an even number
  every=4             draw every so many steps; 4 plays in real time at 20 frames a second

It needs no display: MuJoCo draws through EGL or OSMesa. Every task plays one episode with the policy's mean actions.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING
from PIL import Image, ImageDraw, ImageFont

from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import atomic_write
from experiments.common.options import parse_options
from experiments.common.records import RECORD, damaged, read_record
from experiments.mt10.environments import Environments
from experiments.mt10.policy import load_policy
from experiments.mt10.problems import CONTROL, open_environments
from experiments.mt10.render import Camera

_FRAMES_A_SECOND = 20
_MOST_PIXELS = 2160
_GREEN, _WHITE = (0, 158, 115), (255, 255, 255)


@dataclass
class PlayOptions:
    run: str = MISSING
    out: str = "rollout.mp4"
    task: str | None = None
    size: int = 240
    every: int = 4


def read_options(arguments: Sequence[str] | None = None) -> PlayOptions:
    """The command line as options; raises :class:`UserError` for what cannot be used."""
    given = key_values(sys.argv[1:] if arguments is None else arguments)
    options = parse_options(PlayOptions, given, description=__doc__)
    if Path(options.out).suffix not in (".mp4", ".gif"):
        raise UserError(f"out is {options.out!r}; give a file that ends in .mp4 or .gif.")
    if not 16 <= options.size <= _MOST_PIXELS or options.size % 2:
        raise UserError(f"size is {options.size}; give an even number of pixels, from 16 to at most {_MOST_PIXELS}.")
    if options.every < 1:
        raise UserError(f"every is {options.every}; give at least 1 step.")
    return options


def key_values(arguments: Sequence[str]) -> list[str]:
    """``--out FILE`` and ``--out=FILE`` as ``out=FILE``; ``-h`` and ``--help`` stay."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument.startswith("--") and argument != "--help":
            argument = argument[2:]
            if "=" not in argument and rest:
                argument = f"{argument}={rest.pop(0)}"
        result.append(argument)
    return result


def play(options: PlayOptions) -> dict[str, int | None]:
    """Write the video; returns each task's first step with a success, or ``None``.

    Raises :class:`UserError` for a folder without a finished run, an unknown task, a missing renderer or encoder, or
    a place that cannot be written to.
    """
    folder = Path(options.run)
    record = read_record(folder)
    if record is None or record["benchmark"] != "mt10":
        raise UserError(f"{folder} holds no MT10 run; give the folder with its record.json, below run.root.")
    try:
        profile, tasks = record["config"]["profile"], list(record["data"]["tasks"])
    except KeyError as error:
        raise damaged(folder / RECORD, f"{error} is missing") from error
    if profile == CONTROL:
        raise UserError("the control problem has nothing to draw; give a run of a Meta-World profile.")
    if options.task is not None and options.task not in tasks:
        raise UserError(f"task is {options.task!r}; the run has {', '.join(tasks)}.")
    environment = open_environments(
        profile, tasks=tasks, seeds=[record["seed"]], backend="lean", workers=0, evaluation=True
    )
    assert isinstance(environment, Environments)
    shown = [options.task] if options.task is not None else tasks
    with closing(environment):
        frames, successes = _episode(options, folder, record, environment, shown)
    write_video(Path(options.out), frames)
    return successes


def _episode(
    options: PlayOptions, folder: Path, record: dict[str, Any], environment: Environments, shown: Sequence[str]
) -> tuple[list[np.ndarray], dict[str, int | None]]:
    """Frames ``[H, W, 3]`` uint8 of one episode, and each shown task's first step with a success."""
    learner = load_policy(folder, record, environment)
    tasks = list(environment.tasks)
    first: dict[str, int | None] = dict.fromkeys(shown)
    frames = []
    observations = environment.reset()
    with Camera(environment, options.size) as camera:
        for step in range(environment.horizon + 1):
            if step % options.every == 0 or step == environment.horizon:
                drawn = ((task, camera.frame(0, tasks.index(task))) for task in shown)
                frames.append(grid([labelled(picture, task, first[task] is not None) for task, picture in drawn]))
            if step < environment.horizon:
                actions = learner.act(torch.from_numpy(observations), deterministic=True)
                result = environment.step(actions.numpy())
                observations = result.observations
                for task in shown:
                    if first[task] is None and result.successes[0, tasks.index(task)]:
                        first[task] = step + 1
    return frames, first


def labelled(picture: np.ndarray, task: str, succeeded: bool) -> np.ndarray:
    """The picture with the task's name on it, and a green frame once it has succeeded."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(10, image.width // 16)
    text = f"{task}: success" if succeeded else task
    font = ImageFont.load_default(size)
    draw.rectangle((0, 0, draw.textlength(text, font=font) + 8, size + 8), fill=_GREEN if succeeded else (0, 0, 0))
    draw.text((4, 2), text, font=font, fill=_WHITE)
    if succeeded:
        draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=_GREEN, width=max(2, image.width // 80))
    return np.asarray(image)


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Equal pictures in rows of at most five, the last row filled up in black."""
    columns = min(5, len(pictures)) if len(pictures) > 3 else len(pictures)
    rows = math.ceil(len(pictures) / columns)
    columns = math.ceil(len(pictures) / rows)
    filled = [*pictures, *[np.zeros_like(pictures[0])] * (rows * columns - len(pictures))]
    lines = [np.concatenate(filled[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    return np.concatenate(lines, axis=0)


def write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Encode the frames; raises :class:`UserError` without an encoder or where ``path`` cannot be written."""
    import imageio.v3 as imageio

    options = {"codec": "libx264", "macro_block_size": 2} if path.suffix == ".mp4" else {"loop": 0}
    rate = {"fps": _FRAMES_A_SECOND} if path.suffix == ".mp4" else {"duration": 1000 / _FRAMES_A_SECOND}
    try:
        data = imageio.imwrite("<bytes>", np.stack(frames), extension=path.suffix, **options, **rate)
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; choose another out.") from error
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the video cannot be encoded ({reason}); pip install imageio-ffmpeg, or give out=rollout.gif."
        ) from error


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    for task, step in play(options).items():
        print(f"{task}: no success" if step is None else f"{task}: success at step {step}")
    print(f"The video is {options.out}.")


if __name__ == "__main__":
    main()

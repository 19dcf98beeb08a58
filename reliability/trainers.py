"""The trainers under test, each with a run of about a second: a further benchmark is one more entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from experiments.qm9.build import build_from_qm9pack
from experiments.qm9.molecules import save_molecules


class Trainer(NamedTuple):
    """A trainer and a tiny run of it.

    ``module`` has the command's ``main``, ``evaluation`` is the module in which it evaluates. ``tiny``: overrides for
    a run of three epochs that takes a checkpoint after every step. ``data(folder)`` makes what the run reads, once,
    and returns the overrides that name it; runs are carried out with ``folder`` as their working directory.
    ``methods``: overrides that choose a method with something to restore.
    """

    module: str
    evaluation: str
    tiny: tuple[str, ...]
    data: Callable[[Path], list[str]]
    methods: dict[str, tuple[str, ...]]


#: Nash-MTL holds weights between its solutions, DWA a history, UW parameters of its own, three a generator.
STATEFUL: dict[str, tuple[str, ...]] = {
    "nash_mtl": ("method=nash_mtl", "method.update_weights_every=3"),
    "rlw": ("method=rlw",),
    "dwa": ("method=dwa", "method.window=3"),
    "uw": ("method=uw",),
    "pcgrad": ("method=pcgrad",),
    "graddrop": ("method=graddrop",),
}
#: FAMO, whose logits learn from a second forward pass, does not take the negative losses of MT10's actors.
SUPERVISED = {**STATEFUL, "famo": ("method=famo",)}

_COMMON = (
    *("trainer.epochs=3", "run.checkpoint_every=1", "run.threads=1", "run.device=cpu", "run.progress=false"),
    *("optimizer.lr=0.003", "logger.name=none"),
)


def _qm9(folder: Path) -> list[str]:
    root = folder / "qm9"
    if not (root / "qm9_qm9pack.json").exists():
        save_molecules(build_from_qm9pack(limit=60), root / "qm9_qm9pack.npz")
    return [f"data.root={root}"]


def _rendered(source: str) -> Callable[[Path], list[str]]:
    return lambda folder: [f"data.source={source}"]  # the trainer renders them in its working directory


#: Both sets of scenes, rendered.
_SCENES = (
    *("preset=quick", "data.height=32", "data.width=64", "data.train=4", "data.test=2", "model.width=0.05"),
    *("trainer.batch_size=2", "schedule.step=2"),
    *_COMMON,
)


TRAINERS: dict[str, Trainer] = {
    "qm9": Trainer(
        module="experiments.qm9.train",
        evaluation="experiments.qm9.train",
        tiny=(
            *("model.dim=8", "model.edge_hidden=8", "data.train=24", "data.validation=6", "data.test=8"),
            *("trainer.batch_size=6", "schedule.patience=0", "schedule.factor=0.5"),
            *_COMMON,
        ),
        data=_qm9,
        methods=SUPERVISED,
    ),
    "nyuv2": Trainer(
        "experiments.nyuv2.train", "experiments.scenes.problem", _SCENES, _rendered("rooms"), SUPERVISED
    ),
    "cityscapes": Trainer(
        "experiments.cityscapes.train", "experiments.scenes.problem", _SCENES, _rendered("streets"), SUPERVISED
    ),
    "mt10": Trainer(
        module="experiments.mt10.train",
        evaluation="experiments.mt10.evaluate",
        tiny=(
            *("preset=control", "tasks=[east,north]", "sac.width=8", "sac.batch_per_task=4", "trainer.steps=80"),
            *("trainer.initial_steps=30", "trainer.evaluate_every=20", "trainer.evaluation_episodes=1"),
            *("run.checkpoint_every=1", "run.threads=1", "run.device=cpu", "run.progress=false"),
        ),
        data=lambda folder: [],  # the small control problem
        methods=STATEFUL,
    ),
}

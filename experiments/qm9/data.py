"""QM9 ready to train on: split, standardised targets, dense arrays on the device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.qm9.batches import DenseMolecules
from experiments.qm9.build import open_molecules
from experiments.qm9.config import DataConfig
from experiments.qm9.metrics import COLUMNS, TARGETS
from experiments.qm9.molecules import Molecules


@dataclass(frozen=True, eq=False)
class QM9Data:
    """The set with its splits; indices are positions in ``molecules``."""

    molecules: Molecules
    dense: DenseMolecules
    splits: dict[str, Tensor]  # "train", "validation", "test": indices, int64, on the CPU
    mean: Tensor  # [11], float64, in PyTorch Geometric's units
    std: Tensor  # [11], float64
    provenance: dict[str, Any]


def load_data(config: DataConfig, seed: int, device: torch.device) -> QM9Data:
    """Open (at first: build) the store, split it by ``seed`` and standardise the targets.

    Raises :class:`UserError` for missing or damaged data and for splits that do not fit.
    """
    molecules = open_molecules(Path(config.root), config.source)
    splits = split_indices(len(molecules), config, seed)
    targets = molecules.targets[:, COLUMNS].double()  # [M, 11]
    known = targets[splits["train"]] if config.statistics == "train" else targets
    if len(known) < 2:
        raise UserError(f"data.train is {len(known)}; the targets' statistics need at least 2 molecules.")
    mean, std = known.mean(0), known.std(0)
    same = (known == known[0]).all(0).tolist()
    if constant := [target.metric.name for target, equal in zip(TARGETS, same, strict=True) if equal]:
        raise UserError(
            f"all {len(known)} molecules have the same {', '.join(constant)}, which cannot be standardised; "
            "make data.train larger."
        )
    dense = DenseMolecules.from_molecules(molecules, ((targets - mean) / std).float(), device)
    provenance = {
        **molecules.provenance,
        "synthetic": False,
        "molecules": len(molecules),
        **{name: len(indices) for name, indices in splits.items()},
        "split_seed": seed,
        "statistics": config.statistics,
    }
    return QM9Data(molecules, dense, splits, mean, std, provenance)


def split_indices(total: int, config: DataConfig, seed: int) -> dict[str, Tensor]:
    """Random disjoint splits that depend on ``seed`` alone: test, validation, then train from what remains.

    Test and validation come first, so that they stay the same when ``config.train`` changes.
    """
    held_out = config.test + config.validation
    train = total - held_out if config.train is None else config.train
    if train < 1 or held_out + train > total:
        raise UserError(
            f"data.test + data.validation + data.train is {config.test} + {config.validation} + {train}, "
            f"but the set has {total} molecules; make a split smaller."
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    return {
        "train": order[held_out : held_out + train],
        "validation": order[config.test : held_out],
        "test": order[: config.test],
    }

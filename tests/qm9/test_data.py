"""Splits, statistics and units of the QM9 data, against figures worked out beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from experiments.common.errors import UserError
from experiments.qm9 import data as data_module
from experiments.qm9.config import DataConfig
from experiments.qm9.data import load_data, split_indices
from experiments.qm9.metrics import COLUMNS, METRICS, TARGETS, reported_errors
from experiments.qm9.molecules import Molecules
from tests.qm9.samples import LIMIT

CPU = torch.device("cpu")


def data_config(root: Path | str = "nowhere", **changes: object) -> DataConfig:
    return DataConfig(**{"root": str(root), "train": 60, "validation": 30, "test": 40, **changes})


def test_splits_are_disjoint_and_of_the_sizes_asked() -> None:
    splits = split_indices(LIMIT, data_config(), seed=3)
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 60, "validation": 30, "test": 40}
    everything = torch.cat(list(splits.values()))
    assert len(everything.unique()) == 130 and everything.min() >= 0 and everything.max() < LIMIT


def test_train_null_takes_all_that_remain() -> None:
    splits = split_indices(LIMIT, data_config(train=None), seed=3)
    assert torch.cat(list(splits.values())).sort().values.equal(torch.arange(LIMIT))


def test_splits_depend_on_the_seed() -> None:
    first, again, other = (split_indices(LIMIT, data_config(), seed) for seed in (0, 0, 1))
    for name in first:
        assert torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name])


@pytest.mark.parametrize("train", [None, 10, 200])
def test_held_out_splits_stay_when_the_train_split_changes(train: int | None) -> None:
    usual, changed = split_indices(LIMIT, data_config(), 0), split_indices(LIMIT, data_config(train=train), 0)
    for name in ("test", "validation"):
        assert torch.equal(usual[name], changed[name])
    shorter = min(len(usual["train"]), len(changed["train"]))
    assert torch.equal(usual["train"][:shorter], changed["train"][:shorter]), (
        "more molecules are added, none replaced"
    )


@pytest.mark.parametrize("changes", [{"train": 431}, {"train": None, "validation": 460}, {"test": 10_000}])
def test_splits_that_do_not_fit_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UserError, match=rf"the set has {LIMIT} molecules; make a split smaller"):
        split_indices(LIMIT, data_config(**changes), 0)


@pytest.mark.parametrize("statistics", ["train", "all"])
def test_targets_are_standardised_by_the_statistics_asked_for(
    store: Molecules, qm9_root: Path, statistics: str
) -> None:
    data = load_data(data_config(qm9_root, statistics=statistics), 1, CPU)
    known = store.targets[:, COLUMNS].double()
    known = known[data.splits["train"]] if statistics == "train" else known
    for k in range(len(METRICS)):
        values = known[:, k].tolist()
        mean = sum(values) / len(values)
        std = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        assert float(data.mean[k]) == pytest.approx(mean, rel=1e-12)
        assert float(data.std[k]) == pytest.approx(std, rel=1e-9)
        m = int(data.splits["test"][0])
        by_hand = (float(store.targets[m, COLUMNS[k]]) - mean) / std
        assert float(data.dense.targets[m, k]) == pytest.approx(by_hand, rel=1e-5, abs=1e-6)
    assert data.provenance["statistics"] == statistics and data.provenance["synthetic"] is False
    assert (data.provenance["train"], data.provenance["molecules"]) == (60, LIMIT)


def test_the_two_kinds_of_statistics_differ(qm9_root: Path) -> None:
    train, everything = (load_data(data_config(qm9_root, statistics=s), 1, CPU) for s in ("train", "all"))
    assert not torch.allclose(train.std, everything.std, rtol=1e-3)


def test_a_target_that_does_not_vary_is_refused(
    store: Molecules, qm9_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = store.targets.clone()
    targets[:, 0] = 0.1
    constant = dataclasses.replace(store, targets=targets)
    monkeypatch.setattr(data_module, "open_molecules", lambda root, source: constant)
    with pytest.raises(UserError, match=r"all 60 molecules have the same mu, .* make data\.train larger"):
        load_data(data_config(qm9_root), 0, CPU)


def test_one_molecule_has_no_statistics(qm9_root: Path) -> None:
    with pytest.raises(UserError, match=r"data\.train is 1; .* at least 2"):
        load_data(data_config(qm9_root, train=1), 0, CPU)


def test_targets_are_the_papers_eleven() -> None:
    names = ["mu", "alpha", "HOMO", "LUMO", "R2", "ZPVE", "U0", "U", "H", "G", "cv"]
    assert [metric.name for metric in METRICS] == names
    assert COLUMNS == [0, 1, 2, 3, 5, 6, 12, 13, 14, 15, 11]
    energies = {target.metric.name for target in TARGETS if target.metric.unit == "meV"}
    assert energies == {"HOMO", "LUMO", "ZPVE", "U0", "U", "H", "G"}
    assert all(target.factor == (1000 if target.metric.name in energies else 1) for target in TARGETS)


def test_errors_are_reported_in_the_papers_units(store: Molecules, qm9_root: Path) -> None:
    data = load_data(data_config(qm9_root), 0, CPU)
    m = int(data.splits["test"][0])
    # Half an electronvolt, or half a Debye, ... off on every target:
    predicted = (store.targets[m, COLUMNS].double() + 0.5 - data.mean) / data.std
    errors = reported_errors((predicted - data.dense.targets[m].double()).abs(), data.std)
    for metric in METRICS:
        assert errors[metric.name] == pytest.approx(500 if metric.unit == "meV" else 0.5, rel=1e-4), metric.name

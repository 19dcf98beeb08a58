"""Rendered streets: deterministic, cached, every class in its place, inverse depth that agrees with geometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cityscapes.build_street import LABEL
from experiments.cityscapes.camera import camera_at
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.cityscapes.streets import render
from experiments.scenes.frames import Frames
from experiments.scenes.rendered import rendered_frames

SIZE = (32, 64)


def streets(root: Path, train: int, test: int, seed: int = 0) -> Frames:
    return rendered_frames(replace(CITYSCAPES.rendering, root=root), CITYSCAPES.parts, train, test, SIZE, seed)


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return streets(tmp_path_factory.mktemp("streets"), 8, 4)


def test_same_seed_same_street_whatever_the_count(some: Frames, tmp_path: Path) -> None:
    few = streets(tmp_path, 2, 1)
    for name in ("image", "label", "depth"):
        assert torch.equal(getattr(few, name)[:2], getattr(some, name)[:2])
        assert torch.equal(getattr(few, name)[2], getattr(some, name)[8])
    assert not torch.equal(few.image[:2], streets(tmp_path, 2, 1, seed=1).image[:2])


def test_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = streets(tmp_path, 1, 1)
    monkeypatch.setattr("experiments.scenes.rendered._rendered", None)  # a second rendering would fail
    assert torch.equal(streets(tmp_path, 1, 1).image, first.image)


def test_shapes_and_provenance(some: Frames) -> None:
    assert some.image.shape == (12, 3, *SIZE) and some.image.dtype == torch.uint8
    assert some.depth.dtype == torch.float16 and some.normal is None
    assert some.provenance["synthetic"] is True and some.provenance["source"] == "rendered streets"
    assert "normals" not in some.provenance


def test_every_class_appears_and_lies_where_it_does(some: Frames) -> None:
    assert set(some.label.unique().tolist()) == set(range(-1, 7))
    row = torch.arange(SIZE[0]).view(1, -1, 1).expand_as(some.label).float()
    mean = {name: row[some.label == place].mean() for name, place in LABEL.items()}
    assert mean["sky"] < mean["construction"] < mean["vehicle"] < mean["flat"]
    known = some.depth[some.depth > 0].float()
    assert known.min() > 1 / 170 and known.max() < 1 and (known > 0.02).float().mean() > 0.5


def test_sky_alone_has_no_inverse_depth(some: Frames) -> None:
    assert torch.equal(some.depth[:, 0] == 0, some.label == LABEL["sky"])


def test_the_road_is_flat() -> None:
    """Points on the carriageway, from inverse depth alone, lie in one plane below the camera."""
    size = (64, 128)
    frame = render(np.random.default_rng([1, 0, 3]), size)
    rays = camera_at(size).rays(*size)
    road = torch.from_numpy((frame["label"] == LABEL["flat"]) & (frame["depth"][0] > 0.05))
    points = (rays / torch.from_numpy(frame["depth"]).float())[:, road].double().T  # [P, 3]
    ones = torch.ones(len(points), 1, dtype=torch.float64)
    plane = torch.linalg.lstsq(points, ones).solution
    away = (points @ plane - 1) / plane.norm()  # metres from the plane
    assert len(points) > 500 and 1.0 < 1 / plane.norm() < 1.7  # the camera's height
    assert away.abs().median() < 0.02

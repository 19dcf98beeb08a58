"""Rendered rooms: deterministic, cached, geometrically exact, and a three-task problem worth learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.nyuv2.camera import camera_at
from experiments.nyuv2.classes import CLASSES
from experiments.nyuv2.rooms import render
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.frames import Frames
from experiments.scenes.raycast import Scene, Surface, cast
from experiments.scenes.rendered import rendered_frames

SIZE = (72, 96)


def rendered_rooms(root: Path, train: int, test: int, size: tuple[int, int] = SIZE, seed: int = 0) -> Frames:
    return rendered_frames(replace(NYUV2.rendering, root=root), NYUV2.parts, train, test, size, seed)


def test_same_seed_same_room_whatever_the_count(tmp_path: Path) -> None:
    few = rendered_rooms(tmp_path / "a", 2, 1, SIZE, seed=3)
    more = rendered_rooms(tmp_path / "b", 3, 2, SIZE, seed=3)
    other = rendered_rooms(tmp_path / "c", 2, 1, SIZE, seed=4)
    for name in ("image", "label", "depth", "normal"):
        assert torch.equal(getattr(few, name)[:2], getattr(more, name)[:2])
        assert torch.equal(getattr(few, name)[2], getattr(more, name)[3])
    assert not torch.equal(few.image, other.image)


def test_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rendered_rooms(tmp_path, 1, 1, SIZE)
    monkeypatch.setattr("experiments.scenes.rendered._rendered", None)  # a second rendering would fail
    assert torch.equal(rendered_rooms(tmp_path, 1, 1, SIZE).image, first.image)


def test_shapes_types_and_provenance(tmp_path: Path) -> None:
    frames = rendered_rooms(tmp_path, 2, 1, SIZE)
    assert frames.image.shape == (3, 3, *SIZE) and frames.image.dtype == torch.uint8
    assert frames.label.shape == (3, *SIZE) and frames.label.dtype == torch.int8
    assert frames.depth.shape == (3, 1, *SIZE) and frames.depth.dtype == torch.float16
    assert frames.normal.shape == (3, 3, *SIZE) and frames.normal.dtype == torch.int8
    assert frames.provenance["synthetic"] is True and frames.provenance["source"] == "rendered rooms"
    assert frames.train.tolist() == [0, 1] and frames.test.tolist() == [2]


def test_every_class_appears_and_depth_is_a_rooms(tmp_path: Path) -> None:
    frames = rendered_rooms(tmp_path, 30, 10, (36, 48))
    seen = set(frames.label.unique().tolist())
    assert seen == set(range(-1, len(CLASSES)))
    known = frames.depth[frames.depth > 0].float()
    assert known.min() > 0.1 and known.max() < 9 and known.numel() > 0.98 * frames.depth.numel()


def test_normals_agree_with_depth() -> None:
    """Neighbours on one surface lie in the plane that the normal names."""
    camera = camera_at((144, 192))
    frame = render(np.random.default_rng([1, 0, 5]), (144, 192))
    normal = torch.from_numpy(frame["normal"]).float() / 127
    depth = torch.from_numpy(frame["depth"]).float()
    points = camera.rays(144, 192) * depth * torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    step = points[:, :, 1:] - points[:, :, :-1]
    same = (frame["normal"][:, :, 1:] == frame["normal"][:, :, :-1]).all(0) & (frame["depth"][0, :, 1:] > 0)
    same &= (depth[0, :, 1:] - depth[0, :, :-1]).abs().numpy() < 0.05
    out_of_plane = (step * normal[:, :, :-1]).sum(0).abs()[torch.from_numpy(same)]
    assert out_of_plane.median() < 0.002 and (out_of_plane < 0.01).float().mean() > 0.97


def test_cast_hits_box_and_ball_where_they_are() -> None:
    grey = Surface((0.5,) * 3, (0.5,) * 3)
    scene = Scene(np.array([4.0, 3.0, 5.0]), [grey] * 3, (4, 2, 11))
    scene.add_box(np.array([2.0, 1.5, 3.0]), (0.5, 0.5, 0.5), np.pi / 4, 5, grey)
    scene.add_ball(np.array([1.0, 1.5, 2.0]), 0.25, 6, grey)
    origin = np.array([2.0, 1.5, 0.5])
    to_ball = np.array([-1.0, 0.0, 1.5])
    hits = cast(scene, origin, np.array([[0.0, 0.0, 1.0], [0.9, 0.0, 1.0], [0.0, -1.0, 0.1], to_ball]))
    np.testing.assert_allclose(hits.length[0], 2.5 - 0.5 * np.sqrt(2), rtol=1e-5)  # the edge of the turned box
    np.testing.assert_allclose(hits.length[3], 1 - 0.25 / np.sqrt(3.25), rtol=1e-5)
    np.testing.assert_allclose(hits.normal[3], -to_ball / np.sqrt(3.25), atol=1e-5)
    assert hits.label.tolist() == [5, 11, 4, 6]
    np.testing.assert_allclose(hits.normal[1], [-1, 0, 0])
    np.testing.assert_allclose(hits.normal[2], [0, 1, 0])


def test_impossible_counts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least"):
        rendered_rooms(tmp_path, 0, 1)

"""Normals by plane fitting, against surfaces that are known; depth in coarse steps made smooth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.nyuv2.camera import CROPPED, SIZE, camera_at
from experiments.nyuv2.normals import GATE, SUPPORT, fit_planes, normals_from_depth
from experiments.nyuv2.rooms import render
from experiments.scenes.dequantise import dequantise
from tests.scenes.surfaces import angles, plane, sphere

STEP = 9.9955 / 255  # metres, of the depth in 8 bits
PLANES = [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (-0.3, 0.5, 0.8), (0.2, 0.9, 0.4)]


@pytest.mark.parametrize("normal", PLANES)
def test_plane_is_exact(normal: tuple[float, float, float]) -> None:
    depth, true = plane(CROPPED, SIZE, normal, at=2.0)
    found = normals_from_depth(depth[None], CROPPED)[0]
    assert angles(found, true).max() < 0.1
    assert ((found != 0).any(0) == (depth > 0)).float().mean() > 0.99


def test_sphere() -> None:
    depth, true = sphere(CROPPED, SIZE, radius=0.8, at=2.5)
    error = angles(normals_from_depth(depth[None], CROPPED)[0], true)
    assert error.mean() < 1.5  # the rim, where the gate cuts, is the worst of it
    assert error.median() < 0.7


def test_box_edges_do_not_smear_far() -> None:
    """A box stands 0.6 m before a wall: beyond the gate, so either side keeps its own normal up to the edge."""
    front, front_normal = plane(CROPPED, SIZE, (0.3, 0.0, 0.95), at=1.5)
    wall, wall_normal = plane(CROPPED, SIZE, (-0.2, 0.1, 0.97), at=2.4)
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    inside = ((rows - 144).abs() < 60) & ((columns - 192).abs() < 80)
    depth = torch.where(inside, front, wall)
    true = torch.where(inside, front_normal, wall_normal)
    assert angles(normals_from_depth(depth[None], CROPPED)[0], true).max() < 0.2


def test_crease_is_rounded_within_the_window_only() -> None:
    """Two walls that meet: within half a window the fit mixes both, further away it is exact."""
    first, first_normal = plane(CROPPED, SIZE, (0.7, 0.0, 0.7), at=2.0)
    second, second_normal = plane(CROPPED, SIZE, (-0.7, 0.0, 0.7), at=2.0)
    left = torch.arange(SIZE[1])[None] > CROPPED.cx
    depth, true = torch.where(left, second, first), torch.where(left, second_normal, first_normal)
    away = ((torch.arange(SIZE[1]) - CROPPED.cx).abs() > 8)[None, None]
    found = normals_from_depth(depth[None], CROPPED)[0]
    assert angles(found * away, true).max() < 0.1


def test_frames_together_are_as_one_by_one() -> None:
    frames = [render(np.random.default_rng([3, 0, number]), (48, 64))["depth"][0] for number in range(3)]
    depth = torch.from_numpy(np.stack(frames)).float()
    one_by_one = normals_from_depth(depth, camera_at((48, 64)), window=5)
    together = fit_planes(depth, camera_at((48, 64)), 5, GATE, SUPPORT)
    torch.testing.assert_close(together, one_by_one)
    assert one_by_one[0].ne(one_by_one[1]).any()


def test_all_normals_face_the_camera_and_have_unit_length() -> None:
    frame = render(np.random.default_rng([3, 0, 0]), (144, 192))
    depth = torch.from_numpy(frame["depth"]).float()
    camera = camera_at((144, 192))
    found = normals_from_depth(depth, camera, window=7)[0]
    known = (found != 0).any(0)
    torch.testing.assert_close(found.norm(dim=0)[known], torch.ones(int(known.sum())))
    rays = camera.rays(144, 192) * torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    assert ((found * rays).sum(0)[known] < 0).all()


def test_scale_of_depth_does_not_matter() -> None:
    depth, _ = sphere(CROPPED, SIZE, radius=0.8, at=2.5)
    near, far = normals_from_depth(torch.stack([depth, 3 * depth]), CROPPED)
    assert angles(near, far).max() < 0.1


def test_unknown_depth_has_no_normal_and_no_say() -> None:
    depth, true = plane(CROPPED, SIZE, (0.3, 0.2, 0.9), at=2.0)
    depth[100:140, 100:160] = 0
    found = normals_from_depth(depth[None], CROPPED)[0]
    assert (found[:, 100:140, 100:160] == 0).all()
    assert angles(found, true).max() < 0.1
    assert (normals_from_depth(torch.zeros(1, *SIZE), CROPPED) == 0).all()


def test_window_must_be_odd() -> None:
    with pytest.raises(ValueError, match="odd"):
        normals_from_depth(torch.ones(1, *SIZE), CROPPED, window=6)


@pytest.mark.parametrize("normal", PLANES)
def test_dequantised_plane(normal: tuple[float, float, float]) -> None:
    """8 bits of depth: the planes come back within half a level, and their normals within half a degree."""
    depth, true = plane(CROPPED, SIZE, normal, at=2.0)
    level = torch.where(depth > 0, (depth / STEP - 0.5).round(), 0.0)
    smooth = dequantise(level[None])[0]
    assert ((smooth - level).abs() <= 0.5).all()
    rough = normals_from_depth(torch.where(depth > 0, (level + 0.5) * STEP, 0.0)[None], CROPPED)[0]
    found = normals_from_depth(torch.where(depth > 0, (smooth + 0.5) * STEP, 0.0)[None], CROPPED)[0]
    assert angles(found, true).median() < 0.5
    assert angles(found, true).mean() <= angles(rough, true).mean()


def test_dequantised_room() -> None:
    """In furnished rooms the normals from 8 bits agree with those fitted to exact depth."""
    frames = [render(np.random.default_rng([5, 0, number]), SIZE) for number in range(2)]
    depth = torch.stack([torch.from_numpy(frame["depth"][0]).float() for frame in frames])
    level = torch.where(depth > 0, (depth / STEP - 0.5).round(), 0.0)
    exact = normals_from_depth(depth, CROPPED)
    found = normals_from_depth(torch.where(level > 0, (dequantise(level) + 0.5) * STEP, 0.0), CROPPED)
    error = torch.cat([angles(a, b) for a, b in zip(found, exact, strict=True)])
    assert error.mean() < 4 and error.median() < 1.5 and (error < 11.25).float().mean() > 0.93

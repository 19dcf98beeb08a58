"""The augmentation: images and geometry move together, and runs resume."""

from __future__ import annotations

import pytest
import torch

from experiments.nyuv2.camera import CROPPED, SIZE
from experiments.scenes.augment import SCALES, View, augmented, random_views, seen, step_generator
from experiments.scenes.frames import Batch, Camera
from tests.scenes.surfaces import angles, plane

PLANES = [(0.0, 0.0, 1.0), (0.5, 0.0, 0.8), (-0.3, 0.4, 0.85)]


def plane_batch(normal: tuple[float, float, float]) -> Batch:
    """A plane whose colours are its pixel coordinates, so that a view shows where it came from."""
    depth, normals = plane(CROPPED, SIZE, normal, at=2.0)
    v, u = torch.meshgrid(torch.arange(SIZE[0]) / SIZE[0], torch.arange(SIZE[1]) / SIZE[1], indexing="ij")
    label = (torch.arange(SIZE[1]) // 32 - 1).expand(SIZE).clone()
    return Batch(torch.stack([u, v, u + v])[None], label[None], depth[None, None], normals[None])


@pytest.mark.parametrize("normal", PLANES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("flip", [False, True])
def test_planes_stay_planes(normal: tuple[float, float, float], scale: float, flip: bool) -> None:
    """Depth and normals of a view agree with the plane that the view's own camera sees."""
    height, width = int(SIZE[0] / scale), int(SIZE[1] / scale)
    top, left = (SIZE[0] - height) // 3, (SIZE[1] - width) // 2
    view = seen(plane_batch(normal), [View(scale, top, left, height, width, flip)], tilt_normals=True)
    grown = CROPPED.cropped(top, left).scaled(SIZE[0] / height, SIZE[1] / width)
    # The focal lengths stay, depth is divided: only the centre moves with the crop.
    camera = Camera(CROPPED.fx, CROPPED.fy, grown.cx, grown.cy)
    turned = torch.tensor(normal)
    expected = [float(turned[0]), float(turned[1]), float(turned[2] * scale)]
    if flip:
        camera = Camera(camera.fx, camera.fy, SIZE[1] - 1 - camera.cx, camera.cy)
        expected[0] = -expected[0]
    # The plane's depth on the optical axis, where u = cx, becomes 2 / scale there.
    depth, true = plane(camera, SIZE, (expected[0], expected[1], expected[2]), at=2.0 / scale)
    both = (depth > 0) & (view.depth[0, 0] > 0)
    assert both.float().mean() > 0.9
    relative = ((view.depth[0, 0] - depth) / depth)[both]
    assert relative.abs().max() < 0.006  # half a pixel of the nearest
    if scale != 1.5:  # there every third pixel lies on a border, and either neighbour is the nearest
        assert relative.mean().abs() < 1e-4  # no drift to one side, as plain nearest has
    assert angles(view.normal[0] * both, true).max() < 0.1


@pytest.mark.parametrize("scale", SCALES)
def test_inverse_depth_grows_as_depth_shrinks(scale: float) -> None:
    batch = plane_batch(PLANES[1])
    inverse = Batch(batch.image, batch.label, torch.where(batch.depth > 0, 1 / batch.depth, 0.0))
    views = [View(scale, 20, 30, int(SIZE[0] / scale), int(SIZE[1] / scale), True)]
    depth, found = seen(batch, views).depth, seen(inverse, views, inverse_depth=True)
    torch.testing.assert_close(found.depth[depth > 0], 1 / depth[depth > 0])
    assert torch.equal(found.depth == 0, depth == 0)
    assert found.normal is None


def test_released_code_leaves_the_normal_alone() -> None:
    normal = (0.5, 0.0, 0.8)
    view = seen(plane_batch(normal), [View(1.5, 10, 20, 192, 256, False)])
    expected = torch.nn.functional.normalize(torch.tensor(normal), dim=0)[:, None, None].expand(3, *SIZE)
    assert angles(view.normal[0], expected).max() < 0.1


def test_all_tasks_show_the_same_place() -> None:
    batch = plane_batch((0.0, 0.0, 1.0))
    view = seen(batch, [View(1.5, 30, 60, 192, 256, True)])
    column = view.image[0, 0] * SIZE[1]  # where each pixel came from
    inside = (column % 32 > 1) & (column % 32 < 31)  # away from the borders of the labels
    assert torch.equal((column / 32).floor().long()[inside] - 1, view.label[0][inside])
    assert column.min() >= 59 and column.max() <= 317 and column[0, 0] > column[0, -1]


def test_identity_and_double_flip() -> None:
    batch = plane_batch((0.5, 0.0, 0.8))
    whole = View(1.0, 0, 0, *SIZE, False)
    mirrored = View(1.0, 0, 0, *SIZE, True)
    for result in (seen(batch, [whole]), seen(seen(batch, [mirrored]), [mirrored])):
        for name in ("image", "label", "depth", "normal"):
            assert torch.equal(getattr(result, name), getattr(batch, name))


def test_unknown_stays_unknown() -> None:
    batch = plane_batch((0.0, 0.3, 0.9))
    batch.depth[..., 100:160] = 0
    batch.normal[..., 100:160] = 0
    view = seen(batch, [View(1.5, 40, 60, 192, 256, False)])
    assert torch.equal((view.depth[0, 0] == 0), (view.normal[0] == 0).all(0))
    length = view.normal[0].norm(dim=0)
    assert ((length == 0) | ((length - 1).abs() < 1e-5)).all()


def test_views_cover_scales_crops_and_flips() -> None:
    views = random_views(3000, SIZE, torch.Generator().manual_seed(0))
    for scale in SCALES:
        some = [view for view in views if view.scale == scale]
        assert abs(len(some) / len(views) - 1 / 3) < 0.04
        assert all(0 <= v.top <= SIZE[0] - v.height and 0 <= v.left <= SIZE[1] - v.width for v in some)
    large = [view for view in views if view.scale == 1.5]
    assert {min(v.top for v in large), max(v.top for v in large)} == {0, SIZE[0] - 192}
    assert abs(sum(view.flip for view in views) / len(views) - 0.5) < 0.04


def test_a_step_draws_the_same_again() -> None:
    batch = plane_batch((0.5, 0.0, 0.8))
    first, again = (augmented(batch, step_generator(1, 4, 17)).image for _ in range(2))
    assert torch.equal(first, again)
    views = {tuple(random_views(2, SIZE, step_generator(1, epoch, step))) for epoch in range(3) for step in range(3)}
    assert len(views) == 9

"""Frames without a display."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10.environments import make_environments
from experiments.mt10.render import Camera
from tests.mt10.experts import needs_simulator, random_actions

pytestmark = needs_simulator


def test_frames_show_the_state_and_leave_it_alone() -> None:
    environments = make_environments("mt10-fixed", tasks=["reach", "drawer-open"])
    undisturbed = make_environments("mt10-fixed", tasks=["reach", "drawer-open"])
    environments.reset()
    undisturbed.reset()
    actions = random_actions(20, 1, 2)
    try:
        camera = Camera(environments, size=64)
        first = camera.frame(0, 1)
    except UserError as error:
        pytest.skip(f"nothing to draw with: {error}")
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8 and first.std() > 10
    assert (camera.frame(0, 0) != first).any()
    # The right way up: the grey wall is above, the wooden table in the middle.
    assert first[:8].std() < 10 < first[24:48].std()
    with camera:
        for a in actions:
            np.testing.assert_array_equal(environments.step(a).observations, undisturbed.step(a).observations)
            moved = camera.frame(0, 1)
    assert (moved != first).any()
    with Camera(environments, size=64) as another:
        np.testing.assert_array_equal(another.frame(0, 1), moved)


def test_a_missing_renderer_is_named_with_the_remedy() -> None:
    program = (
        "from experiments.common.errors import UserError\n"
        "from experiments.mt10.environments import make_environments\n"
        "from experiments.mt10.render import Camera\n"
        "environments = make_environments('mt10-fixed', tasks=['reach'])\n"
        "environments.reset()\n"
        "try:\n"
        "    Camera(environments).frame()\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MUJOCO_GL": "disable"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot draw here (MUJOCO_GL=disable" in result.stdout
    assert "set MUJOCO_GL=egl or MUJOCO_GL=osmesa" in result.stdout


def test_a_size_must_be_positive() -> None:
    with pytest.raises(UserError, match="size is 0"):
        Camera(make_environments("mt10-fixed", tasks=["reach"]), size=0)

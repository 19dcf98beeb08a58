"""Goals: Meta-World's own, the same for the same seed whatever else is there, and no trace left in Meta-World."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from experiments.mt10.environments import make_environments
from experiments.mt10.scene import get_scene
from tests.mt10.experts import needs_simulator

pytestmark = needs_simulator


@pytest.mark.parametrize("task", ["reach", "peg-insert-side", "window-open"])
def test_goals_are_those_of_metaworld(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import metaworld

    monkeypatch.setattr(metaworld, "_N_GOALS", 12)  # the stream is the same, the test shorter
    theirs = [pickle.loads(t.data)["rand_vec"] for t in metaworld.MT1(f"{task}-v3", seed=5).train_tasks]
    np.testing.assert_array_equal(get_scene(task).goals(5, 12), np.array(theirs))


def test_metaworlds_own_number_of_goals_stays() -> None:
    import metaworld

    before = metaworld._N_GOALS
    state = np.random.get_state()[1].copy()
    make_environments("mt10-fixed", tasks=["reach"]).reset()
    assert metaworld._N_GOALS == before == 50
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_goals_depend_on_the_seed_alone() -> None:
    both = make_environments("mt10-fixed", tasks=["push", "reach"], seeds=[7, 8])
    alone = make_environments("mt10-fixed", tasks=["reach"], seeds=[8])
    np.testing.assert_array_equal(both.reset()[1, 1], alone.reset()[0, 0])
    assert (both.reset()[0, 1] != both.reset()[1, 1]).any()


def test_a_fixed_goal_stays_and_evaluation_has_the_same() -> None:
    training = make_environments("mt10-paper", tasks=["push"], seeds=[4])
    evaluation = make_environments("mt10-paper", tasks=["push"], seeds=[4], evaluation=True)
    first = training.reset()
    np.testing.assert_array_equal(training.reset(), first)
    np.testing.assert_array_equal(evaluation.reset(), first)


def test_of_several_goals_training_draws_and_evaluation_takes_each_in_turn() -> None:
    def goals(evaluation: bool) -> list[tuple[float, ...]]:
        environments = make_environments("mt10-plus", tasks=["drawer-open"], evaluation=evaluation)
        return [tuple(environments.reset()[0, 0, 36:39]) for _ in range(8)]

    assert goals(True) == goals(True) and goals(False) == goals(False)
    assert len(set(goals(True))) == 8
    assert goals(False) != goals(True) and len(set(goals(False))) > 1

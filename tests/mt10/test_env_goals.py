"""Goals: Meta-World's own, the same for the same seed whatever else is there, and no trace left in Meta-World."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from experiments.mt10.environments import Environments, make_environments
from experiments.mt10.evaluate import evaluate
from experiments.mt10.learner import Learner
from experiments.mt10.sac import SACOptions
from experiments.mt10.scene import get_scene
from methods import get_method
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


def test_every_evaluation_of_several_goals_sees_the_same_whatever_came_before() -> None:
    """So that a seed's evaluations can be compared, and the best is not that with the easiest goals."""
    learner = make_learner()
    fresh = make_environments("mt10-plus", tasks=["drawer-open"], evaluation=True)
    shorten(fresh)
    first, again, more = (goals_of(fresh, learner, episodes) for episodes in (3, 3, 5))
    assert first == again == more[:3] and len(set(more)) == 5
    resumed = make_environments("mt10-plus", tasks=["drawer-open"], evaluation=True)
    shorten(resumed)
    resumed.load_state_dict(fresh.state_dict())
    assert goals_of(resumed, learner, 3) == first


def make_learner() -> Learner:
    """Of the size of ``mt10-plus`` with one task: 39 numbers and the task's indicator."""
    return Learner(
        "mtl_sac",
        n_tasks=1,
        observation_size=40,
        action_size=4,
        seeds=[0],
        make_method=lambda seed: get_method("ls", 1),
        options=SACOptions(width=8),
    )


def shorten(environments: Environments) -> None:
    environments.horizon = 3


def goals_of(environments: Environments, learner: Learner, episodes: int) -> list[tuple[float, ...]]:
    """The goals of an evaluation's episodes."""
    seen = []
    reset = environments.reset

    def noted() -> np.ndarray:
        seen.append(tuple((observations := reset())[0, 0, 36:39]))
        return observations

    environments.reset = noted  # type: ignore[method-assign]
    evaluate(learner, environments, episodes)
    environments.reset = reset  # type: ignore[method-assign]
    return seen

"""The replay buffer: what is put in comes out, of the right task, as often as it should, also after a resume."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.mt10.replay import Batch, Replay
from tests.mt10.learners import ACTIONS, N_TASKS, OBSERVATIONS, add_marked, filled_replay


def generators(n_seeds: int = 1) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(10 + s) for s in range(n_seeds)]


def check_rows_belong_together(batch: Batch) -> None:
    marks = batch.rewards
    assert torch.equal(batch.observations[..., 0], marks)
    assert torch.equal(batch.actions[..., -1], marks)
    assert torch.allclose(batch.next_observations, batch.observations + 0.5)


def test_samples_are_transitions_of_their_seed_and_task() -> None:
    batch = filled_replay(n_seeds=2).sample(40, generators(2))
    assert batch.observations.shape == (2, N_TASKS, 40, OBSERVATIONS)
    assert batch.actions.shape == (2, N_TASKS, 40, ACTIONS)
    assert batch.weights is None
    check_rows_belong_together(batch)
    for s in range(2):
        for k in range(N_TASKS):
            times = batch.rewards[s, k] - 10000 * s - 100 * k
            assert ((times >= 0) & (times < 20)).all()


def test_balanced_samples_are_uniform_over_what_was_added() -> None:
    """Chi-square of 20 equally likely transitions; 43.8 is exceeded once in a thousand draws of the seed."""
    batch = filled_replay().sample(4000, generators())
    for k in range(N_TASKS):
        counts = torch.bincount((batch.rewards[0, k] - 100 * k).long(), minlength=20).double()
        assert ((counts - 200.0) ** 2 / 200.0).sum() < 43.8


def test_tasks_do_not_share_their_draws() -> None:
    rewards = filled_replay().sample(40, generators()).rewards[0]
    assert not torch.equal(rewards[0], rewards[1] - 100)


def test_old_transitions_make_room_for_new_ones() -> None:
    replay = filled_replay(transitions=25, capacity=10)
    assert len(replay) == 10
    times = filled_replay(transitions=25, capacity=10).sample(500, generators()).rewards[0, 0]
    assert (times.min(), times.max()) == (15, 24)


def test_a_seed_draws_the_same_alone_as_beside_another() -> None:
    alone = filled_replay(n_seeds=1).sample(7, generators(1))
    together = filled_replay(n_seeds=2).sample(7, generators(2))
    for part, own in zip(together[:4], alone[:4], strict=True):
        assert torch.equal(part[:1], own)


def test_mixed_samples_have_all_of_the_batch_once_with_the_weights_of_a_mean() -> None:
    batch = filled_replay(n_seeds=2, sampling="mixed").sample(30, generators(2))
    assert batch.weights is not None
    check_rows_belong_together(batch)
    counts = (batch.weights > 0).sum(dim=2)
    assert counts.sum(dim=1).tolist() == [30 * N_TASKS] * 2
    assert counts.max() == batch.rewards.shape[2]
    assert len(counts.unique()) > 1  # else the test sees nothing of the padding
    assert torch.allclose(batch.weights.sum(dim=2), torch.ones(2, N_TASKS))
    for s in range(2):
        for k in range(N_TASKS):
            own = batch.weights[s, k][batch.weights[s, k] > 0]
            assert torch.allclose(own, torch.full_like(own, 1.0 / len(own)))
            assert ((batch.rewards[s, k] - 10000 * s - 100 * k) < 20).all()


def test_a_task_absent_from_a_mixed_batch_has_no_weight() -> None:
    replay = filled_replay(sampling="mixed")
    for seed in range(50):
        batch = replay.sample(1, [torch.Generator().manual_seed(seed)])
        assert batch.weights is not None
        sums = batch.weights.sum(dim=2)[0]
        if (sums == 0).any():
            assert set(sums.tolist()) <= {0.0, 1.0}
            return
    pytest.fail("no draw of three samples left a task out")


@pytest.mark.parametrize("sampling", ["balanced", "mixed"])
@pytest.mark.parametrize("transitions", [7, 12])  # before and after the buffer is full
def test_a_restored_buffer_goes_on_exactly(sampling: str, transitions: int) -> None:
    replay = filled_replay(transitions=transitions, capacity=10, sampling=sampling)
    file = io.BytesIO()
    torch.save(replay.state_dict(), file)
    file.seek(0)
    restored = Replay(1, N_TASKS, 10, OBSERVATIONS, ACTIONS, sampling=sampling)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for buffer in (replay, restored):
        add_marked(buffer, 99)
    assert len(restored) == len(replay)
    for own, other in zip(replay.sample(20, generators()), restored.sample(20, generators()), strict=True):
        assert own is other is None or torch.equal(own, other)


def test_a_saved_state_does_not_change_with_the_buffer() -> None:
    replay = filled_replay(transitions=10, capacity=10)
    state = replay.state_dict()
    before = state["rows"].clone()
    add_marked(replay, 50)
    assert torch.equal(state["rows"], before)


def test_numpy_arrays_are_taken_too() -> None:
    replay = Replay(1, N_TASKS, 4, OBSERVATIONS, ACTIONS)
    shape = (1, N_TASKS)
    replay.add(
        np.ones((*shape, OBSERVATIONS), np.float32),
        np.zeros((*shape, ACTIONS)),
        np.full(shape, 2.0),
        np.ones((*shape, 1)) * np.ones(OBSERVATIONS),
    )
    assert replay.sample(2, generators()).rewards.unique().tolist() == [2.0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="sampling is 'uniform'; expected balanced or mixed"):
        Replay(1, 1, 1, 1, 1, sampling="uniform")
    with pytest.raises(UserError, match="capacity_per_task is 0"):
        Replay(1, 1, 0, 1, 1)
    with pytest.raises(ValueError, match="empty"):
        Replay(1, 1, 1, 1, 1).sample(1, generators())
    with pytest.raises(ValueError, match="2 generators for 1 seeds"):
        filled_replay().sample(1, generators(2))
    with pytest.raises(ValueError, match="saved replay buffer"):
        filled_replay(capacity=50).load_state_dict(filled_replay(capacity=30).state_dict())

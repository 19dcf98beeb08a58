"""Captured and compiled updates give the numbers of plain ones; on a CPU captured halves run from static memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.mt10.capture import Captured
from tests.mt10.learners import random_batch, small_learner, updated

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain": ("mtl_sac", "ls", {}),
    "learned weights": ("mtl_sac", "uw", {}),
    "heads": ("mh_sac", "nash_mtl", {}),
    "reused weights": ("mh_sac", "nash_mtl", {"update_weights_every": 3}),
    "no weights": ("mtl_sac", "graddrop", {}),
    "encoders": ("care", "cagrad", {}),
}


@pytest.mark.parametrize("case", list(CASES))
def test_captured_halves_give_the_same_numbers(case: str) -> None:
    agent, method, method_options = CASES[case]
    results = []
    for capture in ("none", "graph"):
        learner = small_learner(agent, method, seeds=(0, 1), method_options=method_options, capture=capture)
        losses = [learner.update(random_batch(2, seed=step)) for step in range(7)]
        results.append((learner.parameters, learner.temperature.values(), [r["critic_loss"] for r in losses]))
    (plain, temperature, losses), (captured, captured_temperature, captured_losses) = results
    for name, value in plain.items():
        assert torch.equal(value, captured[name]), name
    assert torch.equal(temperature, captured_temperature)
    assert all(torch.equal(own, other) for own, other in zip(losses, captured_losses, strict=True))


def test_a_captured_learner_resumes() -> None:
    learner = updated(small_learner("mh_sac", "nash_mtl", capture="graph"), 5)
    restored = updated(small_learner("mh_sac", "nash_mtl", capture="graph"), 2)
    restored.load_state_dict(learner.state_dict())
    for own in (learner, restored):
        updated(own, 3)
    assert all(torch.equal(value, restored.parameters[name]) for name, value in learner.parameters.items())


def test_compiled_losses_give_the_same_numbers() -> None:
    """The compiler's front half (``aot_eager``): graphs of losses and gradients, without generated kernels."""
    plain = updated(small_learner("mtl_sac", "nash_mtl"), 3)
    compiled = updated(small_learner("mtl_sac", "nash_mtl", capture="compile", compile_backend="aot_eager"), 3)
    for name, value in plain.parameters.items():
        assert torch.allclose(value, compiled.parameters[name], atol=1e-6), name


class TestCaptured:
    def test_arguments_and_results_stay_where_they_are(self) -> None:
        seen: list[int] = []

        def double(x: Tensor, unused: Tensor | None) -> list[Tensor]:
            seen.append(x.data_ptr())
            return [2.0 * x]

        captured = Captured(double)
        first = captured(torch.ones(3), None)[0]
        second = captured(torch.full((3,), 4.0), None)[0]
        assert first is second
        assert second.tolist() == [8.0] * 3
        assert len(set(seen)) == 1

    def test_other_shapes_are_refused(self) -> None:
        captured = Captured(lambda x, y: x)
        captured(torch.ones(3), None)
        for arguments in ((torch.ones(4), None), (torch.ones(3), torch.ones(1))):
            with pytest.raises(ValueError, match="other shapes"):
                captured(*arguments)

"""Captured and compiled updates give the numbers of plain ones; on a CPU captured halves run from static memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.mt10.agents import AGENTS
from experiments.mt10.capture import Captured
from tests.mt10.learners import N_TASKS, OBSERVATIONS, random_batch, small_learner, updated

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
        observations = torch.randn(2, N_TASKS, OBSERVATIONS, generator=torch.Generator().manual_seed(1))
        acted = [learner.act(observations * t, deterministic=t % 2 == 0) for t in range(4)]
        results.append((learner.parameters, learner.temperature.values(), [r["critic_loss"] for r in losses] + acted))
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


class Reads(TorchDispatchMode):
    """Counts the operations that make the host wait for numbers of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waiting = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "unique")
        self.count += any(name in func.name() for name in waiting) and "not_equal" not in func.name()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("capture", ["none", "graph"])
def test_a_plain_update_never_waits_for_the_device(agent: str, capture: str) -> None:
    """On a CPU with the look at the flag left out, as on a GPU: what else reads a number is seen."""
    learner = small_learner(agent, capture=capture)
    learner.update(random_batch())
    batch, observations = random_batch(seed=1), torch.zeros(1, N_TASKS, OBSERVATIONS)
    with Reads() as with_look:
        learner.update(batch)
    assert with_look.count > 0
    learner.health.device = torch.device("meta")
    with Reads() as reads:
        learner.update(batch)
        learner.act(observations, deterministic=False)
    assert reads.count == 0

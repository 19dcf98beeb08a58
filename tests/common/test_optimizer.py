"""Adam in one fused kernel: the same parameters as without, also where gradients lie otherwise in memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from experiments.common.config import OptimizerConfig
from experiments.common.optimizer import make_optimizer
from methods import METHODS, Method, get_method


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 16, 5))


def step(model: nn.Sequential, method: Method, optimizer: torch.optim.Adam, seed: int) -> None:
    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    features = model[:3](images)
    outputs = model[3](features)
    losses = [outputs.square().mean(), outputs.mean()]
    method.backward(losses, shared_parameters=model.parameters(), representation=features)
    optimizer.step()


def trained(fused: bool, method: str, channels_last: bool = False) -> list[Tensor]:
    """The parameters after twenty steps."""
    model = network()
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    chosen = get_method(method, 2)
    optimizer = make_optimizer(model, chosen, OptimizerConfig(lr=0.01, method_lr=0.025, fused=fused))
    for seed in range(20):
        step(model, chosen, optimizer, seed)
    return [parameter.detach() for parameter in [*model.parameters(), *chosen.parameters()]]


@pytest.mark.parametrize("method", [key for key in METHODS if key not in ("stl", "famo", "si")])
@pytest.mark.parametrize("channels_last", [False, True])
def test_fused_steps_are_the_same(method: str, channels_last: bool) -> None:
    for one, other in zip(trained(False, method), trained(True, method, channels_last), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5)  # each step moves a parameter by up to 1e-2


@pytest.mark.parametrize("key", ["ls", "imtl_g", "nash_mtl"])
def test_a_gradient_in_another_order_is_that_of_its_parameter(key: str) -> None:
    """Transposed by a batched product; the fused kernel itself would take one element's for another's."""
    results = []
    for fused in (False, True):
        weight = nn.Parameter(torch.arange(12.0).view(4, 3))
        inputs = torch.arange(24.0).view(2, 4, 3).mT
        method = get_method(key, 2)
        optimizer = torch.optim.Adam([weight], lr=0.1, fused=fused)
        for _ in range(3):
            features = torch.bmm(inputs, weight.expand(2, 4, 3))
            losses = [(features - 1.0).square().mean(), (features[..., 0] + 3.0).square().mean()]
            method.backward(losses, shared_parameters=[weight], representation=features)
            assert weight.grad is not None and weight.grad.stride() == weight.stride()
            optimizer.step()
        results.append(weight.detach())
    torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize("fused_later", [False, True])
def test_a_checkpoint_goes_on_as_it_began(fused_later: bool) -> None:
    model, method = network().to(memory_format=torch.channels_last), get_method("nash_mtl", 2)
    optimizer = make_optimizer(model, method, OptimizerConfig(lr=0.01, method_lr=0.025, fused=True))
    for seed in range(3):
        step(model, method, optimizer, seed)
    other, state = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
    resumed = make_optimizer(other, method, OptimizerConfig(lr=0.01, method_lr=0.025, fused=fused_later))
    resumed.load_state_dict(state)
    for seed in range(3, 6):
        step(model, get_method("nash_mtl", 2), optimizer, seed)
        step(other, get_method("nash_mtl", 2), resumed, seed)
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)

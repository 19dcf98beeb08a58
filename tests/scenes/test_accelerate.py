"""Every faster way to run a network gives the plain one's losses and task gradients."""

from __future__ import annotations

import copy
import os
import shutil

import pytest
import torch
from torch import Tensor

from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes import segnet
from experiments.scenes.accelerate import SpeedConfig, accelerated
from experiments.scenes.model import NETWORKS, make_network
from methods import get_method

CPU = torch.device("cpu")


def step(network: torch.nn.Module, speed: SpeedConfig, images: Tensor) -> tuple[list[float], list[Tensor]]:
    """Losses and shared gradients of one step of Nash-MTL."""
    predictions, representation = accelerated(network, speed, CPU)(images)
    losses = [prediction.square().mean() + prediction.mean() for prediction in predictions]
    shared = list(network.shared_parameters())
    get_method("nash_mtl", len(losses)).backward(losses, shared_parameters=shared, representation=representation)
    return [float(loss.detach()) for loss in losses], [p.grad for p in shared if p.grad is not None]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("speed", [SpeedConfig(channels_last=True), SpeedConfig(compile="aot_eager")], ids=str)
def test_layout_and_compilation_change_nothing(name: str, speed: SpeedConfig) -> None:
    torch.manual_seed(0)
    # In float64: other orders of float32 sums move some maxima of max-pooling to other pixels.
    network = make_network(name, NYUV2.channels, width=0.1).double()
    other, images = copy.deepcopy(network), torch.rand(2, 3, 32, 64, dtype=torch.float64)
    losses, gradients = step(network, SpeedConfig(), images)
    fast_losses, fast_gradients = step(other, speed, images)
    assert fast_losses == pytest.approx(losses, rel=1e-10)
    # Batch normalisation over 2 x 1 x 2 values amplifies the last digits.
    for gradient, fast in zip(gradients, fast_gradients, strict=True):
        torch.testing.assert_close(fast, gradient, rtol=1e-5, atol=1e-9)


@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="inductor needs a C++ compiler (g++, or CXX)"
)
def test_inductor_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two stages of one convolution: every kind of operation of SegNet, a tenth of the kernels to compile.
    monkeypatch.setattr(segnet, "FILTERS", (4, 4))
    monkeypatch.setattr(segnet, "DEPTHS", (1, 1))
    torch.manual_seed(0)
    network = make_network("segnet", NYUV2.channels).double()
    other, images = copy.deepcopy(network), torch.rand(2, 3, 32, 32, dtype=torch.float64)
    losses, gradients = step(network, SpeedConfig(), images)
    fast_losses, fast_gradients = step(other, SpeedConfig(compile="inductor"), images)
    assert fast_losses == pytest.approx(losses, rel=1e-10)
    for gradient, fast in zip(gradients, fast_gradients, strict=True):
        torch.testing.assert_close(fast, gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_for_the_network_alone(name: str) -> None:
    torch.manual_seed(0)
    network = make_network(name, NYUV2.channels, width=0.1).eval()  # batch statistics would amplify rounding
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        plain = network(images)[0]
        half = accelerated(network, SpeedConfig(autocast="bfloat16"), CPU)(images)[0]
    for prediction, rounded in zip(plain, half, strict=True):
        assert rounded.dtype == torch.float32
        assert 0 < float((prediction - rounded).abs().mean()) < 0.05 * float(prediction.abs().mean()) + 0.05
    losses, gradients = step(network, SpeedConfig(autocast="bfloat16"), images)
    assert all(gradient.dtype == torch.float32 for gradient in gradients) and len(losses) == 3

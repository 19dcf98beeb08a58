"""SegNet with one head per task, Badrinarayanan et al., PAMI 2017, in the form of MTAN (Liu et al., CVPR 2019).

Shapes: B images, 3 channels, height H and width W divisible by 32; C the channels of the last decoder stage (64).
At width 1 and with the 13 classes of NYUv2 the network has 25,055,185 parameters: 24,943,296 in the trunk and 111,889
in the three heads, as the released code of Navon et al., ICML 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

TASKS = ("segmentation", "depth", "normals")  # in the order of the paper's tables

FILTERS = (64, 128, 256, 512, 512)  # channels of the five encoder stages, as VGG16
DEPTHS = (2, 2, 3, 3, 3)  # convolutions of a stage, in the encoder and in the decoder
STRIDE = 2 ** len(FILTERS)
_NORM_EPSILON = 1e-4


class Stage(nn.Module):
    """The convolutions between two changes of resolution: ``depth`` times 3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, depth: int) -> None:
        super().__init__()
        self.first = convolution(channels_in, channels_out)
        self.rest = nn.Sequential(*(convolution(channels_out, channels_out) for _ in range(depth - 1)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features after the first convolution and after the last, both ``[B, channels_out, h, w]``."""
        first = self.first(x)
        return first, self.rest(first)


class TrunkFeatures(NamedTuple):
    """What MTAN's attention looks at: five stages of the encoder, and five of the decoder, as they are computed."""

    encoder: list[tuple[Tensor, Tensor]]  # (after the first convolution, after the last), before pooling
    decoder: list[tuple[Tensor, Tensor]]  # (after unpooling, after the last convolution)


class Trunk(nn.Module):
    """The shared encoder and decoder: 24,943,296 parameters at the paper's filters.

    Five times VGG16's convolutions and 2x2 max-pooling; the decoder mirrors it, and puts each value back to where the
    encoder's maximum was (max-unpooling). Convolutions keep their bias, though a batch norm follows, as released.
    """

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        inputs = [3, *filters[:-1]]
        outputs = [filters[0], *filters[:-1]]  # of the decoder's stages, from the finest to the coarsest
        self.encoder = nn.ModuleList(Stage(i, o, d) for i, o, d in zip(inputs, filters, DEPTHS, strict=True))
        self.decoder = nn.ModuleList(
            Stage(i, o, d) for i, o, d in zip(reversed(filters), reversed(outputs), reversed(DEPTHS), strict=True)
        )

    def forward(self, images: Tensor) -> TrunkFeatures:
        height, width = images.shape[-2:]
        if images.dim() != 4 or images.shape[1] != 3 or height % STRIDE or width % STRIDE:
            raise ValueError(
                f"images have shape {tuple(images.shape)}; expected [B, 3, H, W] with H and W divisible by {STRIDE}."
            )
        features = TrunkFeatures([], [])
        positions = []
        x = images
        for stage in self.encoder:
            features.encoder.append(stage(x))
            x, where = F.max_pool2d(features.encoder[-1][1], 2, return_indices=True)
            positions.append(where)
        for stage, where in zip(self.decoder, reversed(positions), strict=True):
            unpooled = F.max_unpool2d(x, where, (2, 2))
            x = stage(unpooled)[1]
            features.decoder.append((unpooled, x))
        return features


class SceneNetwork(nn.Module):
    """What both networks share: the trunk, the heads and the names of their parameters.

    ``channels``: which heads there are, and what each puts out; a single one for single-task learning. ``width``: a
    factor on all filters, 1 for the paper's; small ones are for tests and for runs without a GPU.

    Raises ``ValueError`` for unknown tasks, and widths that are not positive.
    """

    def __init__(self, channels: Mapping[str, int], width: float = 1.0) -> None:
        super().__init__()
        if not channels or not set(channels) <= set(TASKS):
            raise ValueError(f"tasks are {list(channels)}; choose from {', '.join(TASKS)}.")
        if not width > 0:
            raise ValueError(f"width is {width}; give a positive factor, 1 for the paper's network.")
        self.tasks = tuple(channels)
        self.filters = [max(1, round(width * f)) for f in FILTERS]
        self.trunk = Trunk(self.filters)
        self.heads = nn.ModuleDict({task: head(self.filters[0], number) for task, number in channels.items()})

    def task_specific_parameters(self) -> Iterator[Parameter]:
        """The heads: 111,889 parameters for NYUv2 at width 1."""
        yield from self.heads.parameters()

    def predict(self, task: str, features: Tensor) -> Tensor:
        """One task's prediction from its features ``[B, C, H, W]``; see :meth:`SegNet.forward`."""
        x = self.heads[task](features)
        return unit_vectors(x) if task == "normals" else x


class SegNet(SceneNetwork):
    """SegNet whose heads all read the last decoder features ("split" in MTAN's words)."""

    def __init__(self, channels: Mapping[str, int], width: float = 1.0) -> None:
        super().__init__(channels, width)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Predictions, in the order of ``tasks``, and the representation, from images ``[B, 3, H, W]``.

        Segmentation: logits ``[B, classes, H, W]`` (the released code applies log-softmax here, we do in the loss);
        depth ``[B, 1, H, W]``, in metres or inverse; normals ``[B, 3, H, W]`` of length one (:func:`unit_vectors`).
        Representation: one ``[B, C, H, W]``.

        Raises ``ValueError`` if H or W is not divisible by 32.
        """
        features = self.trunk(images).decoder[-1][1]
        return tuple(self.predict(task, features) for task in self.tasks), [features]

    def shared_parameters(self) -> Iterator[Parameter]:
        """The trunk: 24,943,296 parameters at width 1."""
        yield from self.trunk.parameters()

    def last_shared_parameters(self) -> Iterator[Parameter]:
        """The decoder's last convolution, with its batch norm: 37,056 parameters at width 1."""
        last = self.trunk.decoder[-1]
        assert isinstance(last, Stage)
        yield from last.rest.parameters()


def convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU: 9·i·o + 3·o parameters."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    )


def head(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3 and 1x1 convolution, with nothing in between, as released."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_in, 3, padding=1), nn.Conv2d(channels_in, channels_out, 1))


def unit_vectors(x: Tensor) -> Tensor:
    """x / √(|x|² + ε²) over channels, ``[B, 3, H, W]``, ε = 1e-4, in float32 or wider.

    The released code divides by |x|: NaN, value and gradient, where a vector is zero. Here it stays zero, and the
    gradient is bounded by 1/ε: a pixel without features in a narrow network would else drown all others in rounding.
    A vector of length 0.1 becomes one of length 1 - 5e-7; its direction is never changed.
    """
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return wide * (wide.square().sum(dim=1, keepdim=True) + _NORM_EPSILON**2).rsqrt()


def initialise(network: nn.Module) -> None:
    """Xavier-normal weights and zero biases, as in MTAN's code; batch norms begin as the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

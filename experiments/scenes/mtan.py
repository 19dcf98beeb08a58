"""Multi-task attention network (MTAN) on SegNet, Liu et al., CVPR 2019: the network of the paper's NYUv2 table.

At width 1, for NYUv2's three tasks and 13 classes, it has 44,229,073 parameters: SegNet's trunk 24,943,296, attention
modules 19,173,888, the heads 111,889, as the released code of Navon et al., ICML 2022. Of the attention modules,
10,220,160 parameters are convolutions that all tasks use, and 8,953,728 are gates, 2,984,576 of each task's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from experiments.scenes.segnet import SceneNetwork, TrunkFeatures, convolution, initialise

ATTENTION = ("shared", "task_specific")


class Gates(nn.Module):
    """The attention masks of one task, ten: one a stage of the encoder and of the decoder."""

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        # The first stage sees the trunk alone, later ones also what comes from the stage before.
        seen = [filters[0], *(2 * f for f in filters[1:])]
        self.encoder = nn.ModuleList(gate(i, o) for i, o in zip(seen, filters, strict=True))
        outputs = [filters[0], *filters[:-1]]  # from the finest to the coarsest
        self.decoder = nn.ModuleList(
            gate(unpooled + own, own) for unpooled, own in zip(reversed(filters), reversed(outputs), strict=True)
        )


class MTAN(SceneNetwork):
    """MTAN on SegNet: each task follows the shared trunk through attention masks and convolutions.

    In an encoder stage, a task's mask (from the trunk's first features there, and the task's features of the stage
    before) multiplies the trunk's last features; a convolution and max-pooling lead to the next stage. In a decoder
    stage, the task's features are enlarged (bilinear) and convolved; with the trunk's unpooled features they make
    the mask of the trunk's last ones. The masks are each task's own, the convolutions are not.

    ``attention``: whether the masks' parameters count as ``"shared"``, as in the released code (other tasks have
    zero gradients there, which lengthens a task's gradient and so moves Nash-MTL's weights), or as
    ``"task_specific"``. ``channels``, ``width``: see :class:`~experiments.scenes.segnet.SceneNetwork`.
    """

    def __init__(self, channels: Mapping[str, int], width: float = 1.0, attention: str = "shared") -> None:
        super().__init__(channels, width)
        if attention not in ATTENTION:
            raise ValueError(f"attention is {attention!r}; choose one of {', '.join(ATTENTION)}.")
        self.attention = attention
        filters = self.filters
        following = [*filters[1:], filters[-1]]
        before = [filters[0], *filters[:-1]]
        self.gates = nn.ModuleDict({task: Gates(filters) for task in self.tasks})
        self.encoder_convolutions = nn.ModuleList(convolution(i, o) for i, o in zip(filters, following, strict=True))
        self.decoder_convolutions = nn.ModuleList(
            convolution(i, o) for i, o in zip(reversed(filters), reversed(before), strict=True)
        )
        initialise(self)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Predictions, as :meth:`SegNet.forward`, and the representation: one tensor ``[B, C, H, W]`` a task."""
        trunk = self.trunk(images)
        representation = [self._attend(task, trunk) for task in self.tasks]
        predictions = (self.predict(task, x) for task, x in zip(self.tasks, representation, strict=True))
        return tuple(predictions), representation

    def _attend(self, task: str, trunk: TrunkFeatures) -> Tensor:
        """One task's way along the trunk; no operation mixes tasks, so that its backward pass is its own too."""
        gates = self.gates[task]
        assert isinstance(gates, Gates)
        x: Tensor | None = None
        encoder = zip(gates.encoder, self.encoder_convolutions, trunk.encoder, strict=True)
        for mask, convolve, (first, last) in encoder:
            seen = first if x is None else torch.cat([first, x], dim=1)
            x = F.max_pool2d(convolve(mask(seen) * last), 2)
        assert x is not None  # there is at least one stage
        decoder = zip(gates.decoder, self.decoder_convolutions, trunk.decoder, strict=True)
        for mask, convolve, (unpooled, last) in decoder:
            x = convolve(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))
            x = mask(torch.cat([unpooled, x], dim=1)) * last
        return x

    def shared_parameters(self) -> Iterator[Parameter]:
        """Trunk and attention: for three tasks 44,117,184 parameters; 35,163,456 with task-specific masks."""
        modules = [self.trunk, self.encoder_convolutions, self.decoder_convolutions]
        if self.attention == "shared":
            modules.append(self.gates)
        for module in modules:
            yield from module.parameters()

    def task_specific_parameters(self) -> Iterator[Parameter]:
        """The heads: 111,889 parameters for NYUv2 at width 1; with the masks, 9,065,617."""
        if self.attention == "task_specific":
            yield from self.gates.parameters()
        yield from super().task_specific_parameters()

    def last_shared_parameters(self) -> Iterator[Parameter]:
        """None, as released: the heads read features that are each task's own."""
        yield from ()


def gate(channels_in: int, channels_out: int) -> nn.Sequential:
    """1x1 convolution, batch norm, ReLU, then 1x1 convolution, batch norm, sigmoid: a mask in (0, 1)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 1),
        nn.BatchNorm2d(channels_out),
        nn.Sigmoid(),
    )

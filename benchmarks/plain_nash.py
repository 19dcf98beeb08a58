"""Nash-MTL the plain way, as the released code and its descendants take a step: what ours is measured against.

K backward passes for the task gradients, a flat float32 Gramian, weights by the CCP through cvxpy, and one more
backward pass of the weighted loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from methods.ccp import solve_bargaining_ccp


def plain_nash_backward(losses: Tensor, shared: Sequence[torch.nn.Parameter]) -> None:
    """Write the gradients of losses ``[K]`` weighted by α, those of the ``shared`` parameters clipped to norm 1."""
    rows = []
    for loss in losses:
        gradient = torch.autograd.grad(loss, shared, retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradient]))
    matrix = torch.stack(rows)
    gramian = (matrix @ matrix.T).double().numpy()
    weights = solve_bargaining_ccp(gramian, np.ones(len(losses)), 20).weights
    (losses * torch.from_numpy(weights).float()).sum().backward()
    torch.nn.utils.clip_grad_norm_(shared, 1.0)

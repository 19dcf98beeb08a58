"""Multi-task optimisation methods behind one interface.

>>> import torch
>>> shared, head_1, head_2 = (torch.nn.Linear(2, 2), torch.nn.Linear(2, 1), torch.nn.Linear(2, 1))
>>> features = shared(torch.ones(4, 2))
>>> losses = torch.stack([(head(features) ** 2).mean() for head in (head_1, head_2)])
>>> method = get_method("nash_mtl", n_tasks=2)
>>> step = method.backward(losses, shared_parameters=shared.parameters(), representation=features)
>>> step.weights.shape, shared.weight.grad.shape
(torch.Size([2]), torch.Size([2, 2]))
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from methods.aligned_mtl import AlignedMTL
from methods.bargaining import solve_nash
from methods.base import LossWeighting, Method, Step
from methods.cagrad import CAGrad
from methods.dwa import DynamicWeightAverage
from methods.errors import NonFiniteGradient, NonFiniteLoss, NonPositiveLoss
from methods.fairgrad import FairGrad
from methods.famo import FAMO
from methods.graddrop import GradDrop
from methods.gradient_method import GradientMethod, GramianWeighting
from methods.gradients import TaskGradients, compute_task_gradients
from methods.imtl_g import IMTLG
from methods.ls import LinearScalarization
from methods.mgda import MGDA
from methods.nash_mtl import NashMTL
from methods.pcgrad import PCGrad
from methods.rlw import RandomLossWeighting
from methods.si import ScaleInvariant
from methods.stl import SingleTask
from methods.uw import UncertaintyWeighting

#: Every method by its key, in the order of the paper's tables; then those that came after it.
METHODS: dict[str, type[Method]] = {
    "stl": SingleTask,
    "ls": LinearScalarization,
    "si": ScaleInvariant,
    "rlw": RandomLossWeighting,
    "dwa": DynamicWeightAverage,
    "uw": UncertaintyWeighting,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "graddrop": GradDrop,
    "cagrad": CAGrad,
    "imtl_g": IMTLG,
    "nash_mtl": NashMTL,
    "aligned_mtl": AlignedMTL,
    "famo": FAMO,
    "fairgrad": FairGrad,
}

__all__ = [
    "METHODS",
    "GradientMethod",
    "GramianWeighting",
    "LossWeighting",
    "Method",
    "NonFiniteGradient",
    "NonFiniteLoss",
    "NonPositiveLoss",
    "Step",
    "TaskGradients",
    "compute_task_gradients",
    "get_method",
    "method_options",
    "solve_nash",
    *(cls.__name__ for cls in METHODS.values()),
]


def get_method(key: str, n_tasks: int, **options: Any) -> Method:
    """The method with this key for ``n_tasks`` losses; ``options`` are its constructor's keywords.

    Raises ``ValueError`` for an unknown key or option, naming those that exist, and for a missing one.
    """
    if key not in METHODS:
        close = difflib.get_close_matches(key, METHODS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown method {key!r}.{hint} The methods are {', '.join(METHODS)}.")
    known = method_options(key)
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"method {key!r} has no option {', '.join(unknown)}; its options are {', '.join(known)}.")
    parameters = inspect.signature(METHODS[key]).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    if missing := [name for name in required if name not in options]:
        raise ValueError(f"method {key!r} needs the option {', '.join(missing)}, which has no default.")
    return METHODS[key](n_tasks, **options)


def method_options(key: str) -> list[str]:
    """The names of a method's options: its constructor's keywords, and those it hands to its base class."""
    names: dict[str, None] = {}
    for cls in METHODS[key].__mro__:
        if "__init__" not in vars(cls) or cls is object:
            continue
        parameters = inspect.signature(cls).parameters.values()
        names.update(dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # takes no more than it names
    return [name for name in names if name != "n_tasks"]

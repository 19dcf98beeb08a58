"""Recorded gradients of every method on one fixed problem, so that a refactor cannot move a number unseen.

The numbers came from these methods themselves; that they are right is for the other files to show.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.methods.samplers import make

GOLDEN: list[tuple[str, dict[str, Any], list[float], list[float]]] = [
    (
        "stl",
        {"main_task": 1},
        [-0.128420369613, 0.0256840739227, 0.0642101848067, -0.038526110884],
        [-0, 0.797314606308, 0],
    ),
    (
        "ls",
        {},
        [-0.878255173239, -0.421459695931, 0.304949028691, -0.157147925274],
        [-0.513716269674, 0.781494311946, 0.624325861531],
    ),
    (
        "si",
        {},
        [-3.44564842061, -1.92255491974, 1.13399415325, -0.569752943927],
        [-4.24142994582, -6.91461656668, -0.932822192556],
    ),
    (
        "rlw",
        {},
        [-0.379607411493, -0.171663383724, 0.125138338019, -0.0750070476403],
        [-0.171849324592, 0.606858953782, 0.108021901047],
    ),
    (
        "dwa",
        {},
        [-0.481827418646, -0.222697525757, 0.162797285212, -0.0914375203446],
        [-0.123167480797, 0.347431985274, 0.284994785845],
    ),
    (
        "uw",
        {},
        [-0.641864589657, -0.300072163283, 0.217950714146, -0.120135660695],
        [-0.217439853656, 0.488258654774, 0.396959261335],
    ),
    ("mgda", {}, [0.000506748124574, -0.00354723687202, 0.0152024437372, 0.0101349624915], [-0, 0, 0.502173134991]),
    (
        "pcgrad",
        {},
        [-0.878255173239, -0.421459695931, 0.304949028691, -0.157147925274],
        [-0.513716269674, 0.781494311946, 0.624325861531],
    ),
    (
        "graddrop",
        {},
        [-0.874157455406, -0.426222500947, 0.30291579745, -0.178553239426],
        [-0.514125852379, 0.781483678505, 0.624612364862],
    ),
    (
        "cagrad",
        {},
        [-1.00165155194, -0.401637723501, 0.629935262987, -0.0406812017472],
        [-0.508716123978, 0.78215113144, 0.597073141712],
    ),
    (
        "imtl_g",
        {},
        [-0.352331868124, -0.135320585997, 0.126339093014, -0.0711235603659],
        [-0.0614293449956, 0.537015259177, 0.205778670558],
    ),
    (
        "nash_mtl",
        {},
        [0.094837741825, -0.86625596925, 0.215147094271, 0.440815297252],
        [-0.585930003216, -11.3596585565, 3.9088834499],
    ),
    (
        "dwa",
        {"window": 1},
        [-0.47887767731, -0.221180981436, 0.161978321426, -0.0908223224687],
        [-0.12234287459, 0.348318398161, 0.286175710633],
    ),
    (
        "imtl_g",
        {"gradients": "shared"},
        [-0.0241124636515, -0.00781434033272, 0.0312052532253, 0.00771012412158],
        [-0.00118739677911, 0.106868377984, 0.60542392257],
    ),
    (
        "nash_mtl",
        {"update_weights_every": 2},
        [-0.679179565369, -0.20058503921, 0.697929233688, 0.106656199043],
        [-0.172238701083, 3.6880232058, 1.76743098797],
    ),
    (
        "nash_mtl",
        {"max_norm": 0.0, "weight_heads": False},
        [-1.17637351468, -0.34742347915, 1.20884889283, 0.184733955684],
        [-0.493335301512, 0.781891436727, 0.581451084748],
    ),
    (
        "cagrad",
        {"rescale": False, "c": 0.9},
        [-1.21726338369, -0.216655505469, 0.67672798299, -0.184249971929],
        [-0.51491194572, 0.777673094546, 0.518102304854],
    ),
    (
        "graddrop",
        {"leak": 0.3},
        [-0.875386630367, -0.424794000414, 0.303523759557, -0.172195106447],
        [-0.514005128702, 0.781486840899, 0.6245270835],
    ),
    (
        "pcgrad",
        {"seed": 5},
        [-0.878255173239, -0.421459695931, 0.304949028691, -0.157147925274],
        [-0.513716269674, 0.781494311946, 0.624325861531],
    ),
]


def third_step(key: str, options: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Gradients of the shared parameter and of the three heads at the third step of gradient descent."""
    shared = torch.tensor([0.5, -1.0, 0.25, 0.8], dtype=torch.float64, requires_grad=True)
    heads = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.9, -0.4, 1.5)]
    rows = torch.tensor([[1.0, 0.5, -0.3, 0.2], [-2.0, 0.4, 1.0, -0.6], [0.1, -0.7, 3.0, 2.0]], dtype=torch.float64)
    method = make(key, 3, **options)
    for _ in range(3):
        features = torch.tanh(rows @ shared)
        losses = [(head * feature - 1.0) ** 2 for head, feature in zip(heads, features, strict=True)]
        method.backward(losses, shared_parameters=[shared], task_specific_parameters=heads, representation=features)
        with torch.no_grad():
            for parameter in (shared, *heads):
                parameter -= 0.1 * parameter.grad
    return shared.grad.tolist(), [head.grad.item() for head in heads]


@pytest.mark.parametrize(("key", "options", "shared", "heads"), GOLDEN, ids=[f"{g[0]}{g[1] or ''}" for g in GOLDEN])
def test_golden_values(key: str, options: dict[str, Any], shared: list[float], heads: list[float]) -> None:
    ours = third_step(key, options)
    assert ours[0] == pytest.approx(shared, rel=1e-8, abs=1e-10)
    assert ours[1] == pytest.approx(heads, rel=1e-8, abs=1e-10)

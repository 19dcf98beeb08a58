"""Recorded gradients of every method on one fixed problem, so that a refactor cannot move a number unseen.

The numbers came from these methods themselves; that they are right is for the other files to show.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

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
        "aligned_mtl",
        {},
        [-0.0258691322119, 0.00573297102867, 0.0364544827745, 0.00564470669784],
        [-0.172158081862, 0.799344620115, 0.631406043766],
    ),
    (
        "famo",
        {},
        [-0.233476355074, -0.0953808033829, 0.0942583121512, -0.0392899023464],
        [-0.035638662544, 0.325757960709, 0.437596586791],
    ),
    (
        "fairgrad",
        {},
        [-0.540803674929, -0.0426162140993, 0.816111032635, 0.199193438375],
        [-0.343654259067, 0.789949341257, 0.601899753274],
    ),
    (
        "aligned_mtl",
        {"scale_mode": "rmse"},
        [-0.782907947681, 0.222891038405, 1.09790555552, 0.152537443444],
        [-0.452423052307, 0.781466491023, 0.57298854019],
    ),
    (
        "fairgrad",
        {"alpha": 0.5, "max_norm": 0.0},
        [-1.01890575468, -0.441396912012, 0.60728016657, -0.0506162256644],
        [-0.49214564065, 0.783132953772, 0.617874346598],
    ),
]


#: The same on :data:`CONFLICTING`, where every two gradients conflict: PCGrad projects, in an order that matters.
GOLDEN_CONFLICTING: list[tuple[str, dict[str, Any], list[float], list[float]]] = [
    (
        "ls",
        {},
        [-0.546523867716, -0.641811719607, -0.412054470097, 0.358072182061],
        [-0.384718417616, -0.777556636849, 2.64289158381],
    ),
    (
        "mgda",
        {},
        [-0.0819913595869, 0.0328150916467, -0.231909057823, -0.0896356049311],
        [-0.0576577454669, -1.27955917617, 0.932991284607],
    ),
    (
        "pcgrad",
        {},
        [-0.073206594694, -0.155584845827, -1.27905428579, 0.197313411076],
        [-0.280197539324, -0.811153994218, 2.56271222663],
    ),
    (
        "pcgrad",
        {"seed": 5},
        [-0.068378237413, -0.163323273509, -1.3059744936, 0.21168010769],
        [-0.268110027495, -0.811153994218, 2.52919841451],
    ),
    (
        "graddrop",
        {},
        [-1.36022101394, -1.0098655205, 0.408066304183, 0.725461029769],
        [-0.383060225128, -0.787574978206, 2.75764301314],
    ),
    (
        "cagrad",
        {},
        [-0.558525820481, -0.400997980664, -0.312634366293, 0.0585519010014],
        [-0.264424261889, -0.815912422714, 2.75848540363],
    ),
    (
        "cagrad",
        {"gradients": "representation"},
        [-0.633795230753, -0.387821174314, -0.283294570993, -0.016959594535],
        [-0.173550594322, -0.824600681098, 2.79092383872],
    ),
    (
        "imtl_g",
        {},
        [-0.247492100763, -0.0864060796901, -0.00540133351965, -0.08929290472],
        [-0.0674711353134, -0.59735255703, 0.265527187851],
    ),
    (
        "nash_mtl",
        {},
        [-0.433830988382, -0.725428583548, -0.0904150618792, 0.526658485431],
        [-0.155082696404, 0.40729594201, 5.75900034531],
    ),
    (
        "nash_mtl",
        {"gradients": "representation"},
        [-0.535538445964, -0.145325417326, -0.0237375163641, -0.241805385629],
        [-0.24621204313, -1.0227076443, 0.666296211528],
    ),
    (
        "aligned_mtl",
        {},
        [-0.122925713331, -0.0672668661978, -0.166850314901, -0.00656405881682],
        [-0.184659679189, -0.827307104993, 2.95579641847],
    ),
    (
        "aligned_mtl",
        {"scale_mode": "median"},
        [-0.846853931107, -0.489342376445, -1.50616618491, 0.00497949447619],
        [-0.404068892558, -0.81192702313, 2.66404774062],
    ),
    (
        "famo",
        {},
        [-0.331934190126, -0.112284682549, 0.0337685448338, -0.126264992723],
        [-0.103422113373, -0.563499648583, 0.197606798375],
    ),
    (
        "fairgrad",
        {},
        [-0.33141908285, 0.0282034831782, -0.911957638454, -0.2402066209],
        [-0.188907383607, -0.829390103024, 2.94371352575],
    ),
    (
        "fairgrad",
        {"gradients": "representation"},
        [-0.430840369355, -0.044629525635, -0.0326963460719, -0.279268166946],
        [-0.308502627884, -0.826149659411, 3.05127131142],
    ),
]


class Problem(NamedTuple):
    """An input and the head's first value for each of three tasks."""

    inputs: list[list[float]]
    heads: list[float]


FIRST = Problem([[1.0, 0.5, -0.3, 0.2], [-2.0, 0.4, 1.0, -0.6], [0.1, -0.7, 3.0, 2.0]], [0.9, -0.4, 1.5])
CONFLICTING = Problem([[1.0, 0.5, -0.3, 0.2], [-0.7, -0.9, 0.4, 0.5], [-0.6, 0.5, 0.8, -1.1]], [0.9, 0.4, 1.5])


def third_step(key: str, options: dict[str, Any], problem: Problem) -> tuple[list[float], list[float]]:
    """Gradients of the shared parameter and of the three heads at the third step of gradient descent."""
    shared = torch.tensor([0.5, -1.0, 0.25, 0.8], dtype=torch.float64, requires_grad=True)
    heads = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in problem.heads]
    rows = torch.tensor(problem.inputs, dtype=torch.float64)
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
    ours = third_step(key, options, FIRST)
    assert ours[0] == pytest.approx(shared, rel=1e-8, abs=1e-10)
    assert ours[1] == pytest.approx(heads, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("key", "options", "shared", "heads"), GOLDEN_CONFLICTING)
def test_golden_values_of_conflicting_gradients(
    key: str, options: dict[str, Any], shared: list[float], heads: list[float]
) -> None:
    ours = third_step(key, options, CONFLICTING)
    assert ours[0] == pytest.approx(shared, rel=1e-8, abs=1e-10)
    assert ours[1] == pytest.approx(heads, rel=1e-8, abs=1e-10)


def test_the_problems_tell_the_methods_apart() -> None:
    for rows in (GOLDEN, GOLDEN_CONFLICTING):
        for first, second in itertools.combinations(rows, 2):
            assert first[2:] != second[2:], f"{first[:2]} and {second[:2]} have the same values"

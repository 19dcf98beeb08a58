"""Which preset suits what is here: prints ``paper`` where there are real data and a GPU, else ``quick``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from experiments.nyuv2.data import find_store


def suitable_preset(arguments: Sequence[str]) -> str:
    """``arguments`` are those of the trainer; ``data.root``, ``data.source`` and ``run.device`` count."""
    settings = dict(argument.partition("=")[::2] for argument in arguments)
    real = settings.get("data.source") != "rooms" and find_store(settings.get("data.root")) is not None
    gpu = torch.cuda.is_available() and not settings.get("run.device", "auto").startswith("cpu")
    return "paper" if real and gpu else "quick"


if __name__ == "__main__":
    print(suitable_preset(sys.argv[1:]))

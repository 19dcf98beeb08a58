"""How rendered bodies look, at random."""

from __future__ import annotations

import colorsys

import numpy as np

from experiments.scenes.raycast import Surface

Random = np.random.Generator


def random_surface(
    random: Random,
    patterns: list[str],
    brightness: tuple[float, float],
    scale: tuple[float, float] = (0.1, 0.4),
    saturation: float = 0.45,
) -> Surface:
    """One of the patterns in two colours of a brightness (linear) and up to a saturation; ``scale`` in metres."""
    first = random_colour(random, brightness, saturation)
    second = (
        random_colour(random, brightness, saturation) if random.random() < 0.4 else tuple(0.75 * c for c in first)
    )
    return Surface(first, (second[0], second[1], second[2]), str(random.choice(patterns)), random.uniform(*scale))


def random_colour(random: Random, brightness: tuple[float, float], saturation: float) -> tuple[float, float, float]:
    """Any hue, as linear red, green and blue."""
    return colorsys.hsv_to_rgb(random.random(), random.uniform(0, saturation), random.uniform(*brightness))

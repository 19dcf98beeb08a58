"""Streets at random: a carriageway between pavements and houses, with cars, people, trees, poles and signs."""

from __future__ import annotations

import math

import numpy as np

from experiments.cityscapes.classes import CLASSES
from experiments.scenes.frames import IGNORED
from experiments.scenes.looks import Random, random_colour, random_surface
from experiments.scenes.raycast import Scene, Surface

LABEL = {name: place for place, name in enumerate(CLASSES)}
_FAR_SUN = 300.0  # metres
_BESIDE = 30.0  # metres beyond the pavements on either side


class Street:
    """A scene in the making; x across the street from its middle, y up, z along it, all in metres."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.half = random.uniform(4.5, 8.5)  # of the carriageway
        self.pavement = random.uniform(1.8, 4.0)
        self.length = random.uniform(90.0, 160.0)
        self.middle = self.half + self.pavement + _BESIDE
        grey = random.uniform(0.12, 0.3)
        asphalt = Surface((grey,) * 3, (0.8 * grey,) * 3, "noise", random.uniform(0.2, 0.8))
        blue = random.uniform(0.0, 0.5)
        bright = Surface((0.8 - 0.5 * blue, 0.85 - 0.3 * blue, 0.9), (0.9,) * 3, "noise", 25.0, glow=0.35)
        room = np.array([2 * self.middle, 60.0, self.length])
        labels = (LABEL["flat"], LABEL["sky"], LABEL["sky"])
        self.scene = Scene(room, [asphalt, bright, bright], labels)
        height, turn = random.uniform(0.5, 1.2), random.uniform(-math.pi, math.pi)
        towards = np.array([math.cos(height) * math.sin(turn), math.sin(height), math.cos(height) * math.cos(turn)])
        self.scene.light = np.array([self.middle, 0.0, 20.0]) + _FAR_SUN * towards

    def box(
        self,
        label: str,
        look: Surface,
        place: tuple[float, float, float],
        size: tuple[float, float, float],
        yaw: float = 0.0,
    ) -> None:
        """A box of ``size`` across, high and along, whose bottom's middle is at ``place``."""
        x, y, z = place
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        centre = np.array([self.middle + x, y + half[1], z])
        self.scene.add_box(centre, half, yaw, LABEL.get(label, IGNORED), look)

    def ball(self, label: str, look: Surface, place: tuple[float, float, float], radius: float) -> None:
        centre = np.array([self.middle + place[0], place[1], place[2]])
        self.scene.add_ball(centre, radius, LABEL[label], look)


def street(random: Random) -> tuple[Scene, np.ndarray]:
    """One street, and where the camera is in it [3]; the same ``random`` state gives the same street."""
    made = Street(random)
    _ground(made)
    for side in (-1, 1):
        _houses(made, side)
        _along_the_kerb(made, side)
        _people(made, side)
    _traffic(made)
    lane = random.uniform(0.35, 0.55) * made.half
    height = random.uniform(1.2, 1.5)
    bonnet = random_surface(random, ["plain"], (0.02, 0.6), saturation=0.5)
    made.box("unlabelled", bonnet, (lane, height - 0.62, 2.1), (1.7, 0.12, 1.2))
    return made.scene, np.array([made.middle + lane, height, 0.6])


def _ground(made: Street) -> None:
    random, length = made.random, made.length
    slabs = random_surface(random, ["tiles", "checks", "noise"], (0.2, 0.5), (0.4, 0.8), saturation=0.15)
    for side in (-1, 1):
        at = side * (made.half + made.pavement / 2)
        made.box("flat", slabs, (at, 0, length / 2), (made.pavement, 0.13, length))
    paint = Surface((0.7,) * 3, (0.6,) * 3, "noise", 0.3)
    for z in np.arange(4.0, length, 8.0):
        made.box("flat", paint, (0.0, 0, float(z)), (0.13, 0.004, 3.5))


def _houses(made: Street, side: int) -> None:
    """Houses wall to wall, now and then a gap with a garden; perhaps one across the street's end."""
    random = made.random
    front, z = made.half + made.pavement, -8.0
    while z < made.length:
        along = random.uniform(7.0, 22.0)
        if random.random() < 0.75:
            wall = random_surface(random, ["panes", "panes", "tiles", "noise"], (0.15, 0.75), (1.2, 3.2))
            back = random.uniform(0.0, 3.0)
            size = (12.0, random.uniform(5.0, 22.0), along)
            made.box("construction", wall, (side * (front + back + 6), 0, z + along / 2), size)
        else:
            green = _leaves(random)
            made.box(
                "nature", green, (side * (front + 8), 0, z + along / 2), (16.0, random.uniform(0.05, 1.6), along)
            )
            if random.random() < 0.5:
                fence = random_surface(random, ["stripes", "wood", "plain"], (0.1, 0.6), (0.1, 0.3))
                made.box("construction", fence, (side * (front + 0.1), 0, z + along / 2), (0.1, 1.3, along))
            for _ in range(int(random.integers(0, 4))):
                _tree(made, side * (front + random.uniform(1.5, 9.0)), z + random.uniform(0, along))
        z += along
    if side > 0 and random.random() < 0.35:
        wall = random_surface(random, ["panes", "tiles"], (0.2, 0.7), (1.5, 3.0))
        made.box("construction", wall, (0.0, 0, made.length - 3), (60.0, random.uniform(8.0, 25.0), 6.0))


def _along_the_kerb(made: Street, side: int) -> None:
    """Parked cars on the carriageway's edge; trees, lamps and signs on the pavement's."""
    random = made.random
    parking, z = random.uniform(0.1, 0.8), random.uniform(5.0, 12.0)
    while z < 0.7 * made.length:
        if random.random() < parking:
            _car(made, side * (made.half - 1.05), z, random.normal(0, 0.02))
        z += random.uniform(5.2, 8.0)
    trees, z = random.uniform(0.0, 0.8), random.uniform(4.0, 10.0)
    at = side * (made.half + 0.5)
    while z < 0.8 * made.length:
        kind = random.random()
        if kind < trees:
            _tree(made, at, z)
        elif kind < trees + 0.5 * (1 - trees):
            _lamp(made, side, at, z)
        else:
            _sign(made, at, z)
        z += random.uniform(5.0, 14.0)


def _people(made: Street, side: int) -> None:
    random = made.random
    for _ in range(int(random.integers(0, 7))):
        crossing = random.random() < 0.15
        x = random.uniform(-0.8, 0.8) * made.half if crossing else side * (made.half + random.uniform(0.3, 0.9) * 2)
        _person(made, x, random.uniform(6.0, 40.0))


def _traffic(made: Street) -> None:
    random = made.random
    for lane in (-0.45, 0.45):
        z = random.uniform(7.0, 25.0) if lane > 0 else random.uniform(4.0, 20.0)
        while z < 0.8 * made.length and random.random() < 0.7:
            _car(made, lane * made.half + random.normal(0, 0.2), z, 0.0)
            z += random.uniform(8.0, 40.0)


def _car(made: Street, x: float, z: float, yaw: float) -> None:
    random = made.random
    paint = random_surface(random, ["plain"], (0.02, 0.85), saturation=0.8)
    glass, rubber = Surface((0.03, 0.04, 0.05), (0.02,) * 3), Surface((0.02,) * 3, (0.02,) * 3)
    wide, long = random.uniform(1.65, 1.95), random.uniform(3.8, 4.8)
    if random.random() < 0.15:  # a van or a lorry
        wide, long, tall = random.uniform(2.0, 2.5), random.uniform(5.0, 9.0), random.uniform(2.2, 3.6)
        made.box("vehicle", paint, (x, 0.35, z), (wide, tall, long), yaw)
        made.box("vehicle", glass, (x, 1.3, z - long / 2 - 0.01), (0.85 * wide, 0.6, 0.02), yaw)
    else:
        made.box("vehicle", paint, (x, 0.3, z), (wide, 0.65, long), yaw)
        made.box("vehicle", glass, (x, 0.95, z + 0.2), (0.86 * wide, 0.5, 0.55 * long), yaw)
    for across in (-0.42, 0.42):
        for along in (-0.32, 0.32):
            made.box("vehicle", rubber, (x + across * wide, 0, z + along * long), (0.22, 0.62, 0.62), yaw)


def _person(made: Street, x: float, z: float) -> None:
    random = made.random
    tall, yaw = random.uniform(1.5, 1.9), random.uniform(-math.pi, math.pi)
    coat = random_surface(random, ["plain", "noise", "stripes"], (0.03, 0.7), (0.05, 0.2), saturation=0.8)
    legs = random_surface(random, ["plain"], (0.02, 0.3), saturation=0.5)
    made.box("human", legs, (x, 0.0, z), (0.3, 0.5 * tall, 0.22), yaw)
    made.box("human", coat, (x, 0.5 * tall, z), (0.46, 0.35 * tall, 0.26), yaw)
    tone = random.uniform(0.15, 0.7)
    made.ball("human", Surface((tone, 0.75 * tone, 0.6 * tone), (0.1,) * 3), (x, 0.93 * tall, z), 0.13)


def _tree(made: Street, x: float, z: float) -> None:
    random = made.random
    tall, crown = random.uniform(2.0, 4.0), random.uniform(1.0, 2.2)
    bark = Surface((0.12, 0.08, 0.05), (0.07, 0.05, 0.03), "noise", 0.1)
    made.box("nature", bark, (x, 0, z), (0.28, tall, 0.28))
    green = _leaves(random)
    for _ in range(3):
        shift = random.normal(0, 0.35 * crown, 3)
        made.ball("nature", green, (x + shift[0], tall + 0.6 * crown + shift[1], z + shift[2]), crown)


def _leaves(random: Random) -> Surface:
    green = random.uniform(0.08, 0.35)
    return Surface((0.6 * green, green, 0.25 * green), (0.3 * green, 0.5 * green, 0.1 * green), "noise", 0.3)


def _lamp(made: Street, side: int, x: float, z: float) -> None:
    tall = made.random.uniform(4.5, 8.0)
    metal = Surface((0.25,) * 3, (0.2,) * 3)
    made.box("object", metal, (x, 0, z), (0.14, tall, 0.14))
    made.box("object", metal, (x - 0.8 * side, tall - 0.1, z), (1.8, 0.12, 0.3))


def _sign(made: Street, x: float, z: float) -> None:
    """A sign, or a traffic light."""
    random = made.random
    metal = Surface((0.3,) * 3, (0.25,) * 3)
    tall = random.uniform(2.2, 3.0)
    made.box("object", metal, (x, 0, z), (0.08, tall, 0.08))
    if random.random() < 0.5:
        made.box("object", Surface((0.02,) * 3, (0.3, 0.02, 0.02)), (x, tall, z), (0.32, 0.9, 0.25))
    else:
        first, second = random_colour(random, (0.5, 0.9), 1.0), random_colour(random, (0.5, 0.9), 0.1)
        made.box("object", Surface(first, second, "checks", 0.3), (x, tall, z), (0.65, 0.65, 0.04))

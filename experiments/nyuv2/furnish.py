"""Furnished rooms at random: walls, a lamp, and furniture of the 13 classes standing where furniture stands.

An item is drawn around its own origin (on the floor, its back towards +z), as boxes and balls; then it is turned and
placed against a wall or free in the room, where nothing stands yet.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from experiments.nyuv2.classes import CLASSES
from experiments.scenes.frames import IGNORED
from experiments.scenes.looks import Random, random_colour, random_surface
from experiments.scenes.raycast import Scene, Surface

LABEL = {name: place for place, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Part:
    """A box, or with ``half`` of one number a ball; metres, in the item's axes."""

    label: str
    centre: tuple[float, float, float]
    half: tuple[float, ...]
    surface: Surface
    yaw: float = 0.0


@dataclass(frozen=True)
class Item:
    parts: list[Part]
    width: float  # footprint along x, centred
    depth: float  # footprint along z, from -depth / 2 to depth / 2


def furnished_room(random: Random) -> Scene:
    """One room; the same ``random`` state gives the same room."""
    room = np.array([random.uniform(3.0, 5.5), random.uniform(2.35, 2.9), random.uniform(3.2, 6.0)])
    wall = random_surface(random, ["plain", "plain", "noise", "stripes"], brightness=(0.35, 0.85), scale=(0.2, 0.5))
    floor = random_surface(random, ["wood", "tiles", "checks", "noise"], brightness=(0.12, 0.55), scale=(0.15, 0.5))
    ceiling = random_surface(random, ["plain", "tiles"], brightness=(0.6, 0.95), scale=(0.5, 0.7), saturation=0.08)
    scene = Scene(room, [floor, ceiling, wall], (LABEL["floor"], LABEL["ceiling"], LABEL["wall"]))
    scene.light = np.array([room[0] * random.uniform(0.3, 0.7), room[1] - 0.15, room[2] * random.uniform(0.25, 0.7)])
    taken: list[tuple[float, float, float, float]] = [(room[0] / 2, 0.3, 0.5, 0.5)]  # where the camera stands
    for make in _wishes(random):
        _place(scene, make(random), taken, random)
    _hang(scene, random)
    return scene


def _wishes(random: Random) -> Iterator[Callable[[Random], Item]]:
    """What this room should hold, in any order."""
    kinds: list[tuple[Callable[[Random], Item], float]] = [
        (_bed, 0.45),
        (_sofa, 0.55),
        (_shelf, 0.7),
        (_cabinet, 0.75),
        (_tv_stand, 0.55),
        (_dining, 0.5),
        (_desk, 0.5),
        (_chair, 0.6),
        (_cabinet, 0.4),
        (_box_pile, 0.6),
        (_chair, 0.4),
    ]
    for place in random.permutation(len(kinds)):
        make, chance = kinds[place]
        if random.random() < chance:
            yield make


def _place(
    scene: Scene, item: Item, taken: list[tuple[float, float, float, float]], random: Random, tries: int = 12
) -> None:
    """Put the item where it stands free of the others, mostly against a wall; give up after some tries."""
    for _ in range(tries):
        against = random.choice(["back", "back", "left", "right", "free"])
        yaw = {"back": 0.0, "left": -math.pi / 2, "right": math.pi / 2, "free": random.uniform(-math.pi, math.pi)}[
            against
        ]
        if against != "free" and random.random() < 0.2:
            yaw += random.uniform(-0.15, 0.15)
        reach_x = (abs(math.cos(yaw)) * item.width + abs(math.sin(yaw)) * item.depth) / 2 + 0.01
        reach_z = (abs(math.sin(yaw)) * item.width + abs(math.cos(yaw)) * item.depth) / 2 + 0.01
        if 2 * reach_x > scene.room[0] or 2 * reach_z > scene.room[2] - 0.8:
            continue
        x = random.uniform(reach_x, scene.room[0] - reach_x)
        z = random.uniform(reach_z + 0.8, scene.room[2] - reach_z)
        if against == "back":
            z = scene.room[2] - reach_z
        elif against == "left":
            x = reach_x
        elif against == "right":
            x = scene.room[0] - reach_x
        if all(abs(x - a) >= reach_x + c or abs(z - b) >= reach_z + d for a, b, c, d in taken):
            taken.append((x, z, reach_x, reach_z))
            for part in item.parts:
                _add(scene, part, np.array([x, 0.0, z]), yaw)
            return


def _add(scene: Scene, part: Part, position: np.ndarray, yaw: float) -> None:
    x, y, z = part.centre
    centre = position + np.array([math.cos(yaw) * x + math.sin(yaw) * z, y, -math.sin(yaw) * x + math.cos(yaw) * z])
    label = LABEL.get(part.label, IGNORED)
    if len(part.half) == 1:
        scene.add_ball(centre, part.half[0], label, part.surface)
    else:
        scene.add_box(centre, (part.half[0], part.half[1], part.half[2]), yaw + part.yaw, label, part.surface)


def _hang(scene: Scene, random: Random) -> None:
    """Pictures and windows on the walls that the camera can see, side by side."""
    for wall in ("back", "left", "right"):
        length = scene.room[0] if wall == "back" else scene.room[2]
        at = random.uniform(0.3, 0.9)
        while at < length - 0.6 and random.random() < 0.75:
            if random.random() < 0.4:
                width, height, y = random.uniform(0.7, 1.6), random.uniform(0.8, 1.3), random.uniform(1.4, 1.6)
                sky = random_colour(random, (0.7, 1.0), 0.3)
                frame = random_colour(random, (0.2, 0.9), 0.1)
                scale = width / random.integers(1, 4)
                look = Surface(sky, frame, "panes", scale, glow=random.uniform(0.3, 1.2))
                part = Part("window", (0, y, -0.02), (width / 2, height / 2, 0.02), look)
            else:
                width, height, y = random.uniform(0.3, 0.9), random.uniform(0.3, 0.8), random.uniform(1.4, 1.75)
                look = random_surface(random, ["blocks", "noise", "checks"], (0.1, 0.9), (0.06, 0.25), saturation=0.8)
                part = Part("picture", (0, y, -0.015), (width / 2, height / 2, 0.015), look)
            middle = at + width / 2
            if middle + width / 2 > length - 0.1:
                break
            position = {
                "back": np.array([middle, 0, scene.room[2]]),
                "left": np.array([0, 0, middle]),
                "right": np.array([scene.room[0], 0, middle]),
            }[wall]
            if _free_wall(scene, position + np.array([0, y, 0]), width / 2, height / 2):
                _add(scene, part, position, {"back": 0.0, "left": -math.pi / 2, "right": math.pi / 2}[wall])
            at = middle + width / 2 + random.uniform(0.2, 1.2)


def _free_wall(scene: Scene, middle: np.ndarray, half_width: float, half_height: float) -> bool:
    """Whether nothing stands right before this part of a wall."""
    for centre, half in zip(scene.centre, scene.half, strict=True):
        away = np.abs(centre - middle)
        if away[1] < half[1] + half_height and max(away[0], away[2]) < half_width + 0.1 + math.hypot(
            half[0], half[2]
        ):
            deep = min(away[0], away[2]) - math.hypot(half[0], half[2])
            if deep < 0.1:
                return False
    return True


def _bed(random: Random) -> Item:
    width, length, height = random.uniform(0.9, 1.8), random.uniform(1.9, 2.1), random.uniform(0.4, 0.6)
    sheet = random_surface(random, ["plain", "stripes", "checks", "noise"], (0.3, 0.9), (0.1, 0.3))
    pillow, wood = random_surface(random, ["plain"], (0.6, 0.95)), _wooden(random)
    parts = [
        Part("bed", (0, height / 2, 0), (width / 2, height / 2, length / 2), sheet),
        Part("bed", (0, 0.5, length / 2 - 0.03), (width / 2, 0.5, 0.03), wood),
    ]
    for x in [0.0] if width < 1.3 else [-width / 4, width / 4]:
        parts.append(Part("objects", (x, height + 0.07, length / 2 - 0.3), (0.28, 0.07, 0.18), pillow))
    return Item(parts, width, length)


def _sofa(random: Random) -> Item:
    width, deep = random.uniform(1.4, 2.2), random.uniform(0.8, 0.95)
    cloth = random_surface(random, ["plain", "noise", "stripes", "checks"], (0.1, 0.7), (0.05, 0.2))
    parts = [
        Part("sofa", (0, 0.21, 0), (width / 2, 0.21, deep / 2), cloth),
        Part("sofa", (0, 0.45, deep / 2 - 0.11), (width / 2, 0.42, 0.11), cloth),
        *(Part("sofa", (side * (width / 2 - 0.09), 0.3, 0), (0.09, 0.3, deep / 2), cloth) for side in (-1, 1)),
    ]
    if random.random() < 0.6:
        cushion = random_surface(random, ["plain", "checks"], (0.2, 0.9), saturation=0.8)
        parts.append(Part("objects", (random.uniform(-0.4, 0.4), 0.6, 0.12), (0.2, 0.18, 0.06), cushion, 0.3))
    return Item(parts, width, deep)


def _shelf(random: Random) -> Item:
    """An open bookshelf: sides, back, boards, and books and things on the boards."""
    width, height, deep = random.uniform(0.7, 1.4), random.uniform(1.2, 2.1), random.uniform(0.26, 0.36)
    wood = _wooden(random)
    parts = [
        Part("furniture", (0, height / 2, deep / 2 - 0.01), (width / 2, height / 2, 0.01), wood),
        *(
            Part("furniture", (s * (width / 2 - 0.015), height / 2, 0), (0.015, height / 2, deep / 2), wood)
            for s in (-1, 1)
        ),
    ]
    boards = int(random.integers(3, 6))
    for board in range(boards + 1):
        y = 0.06 + board * (height - 0.08) / boards
        parts.append(Part("furniture", (0, y, 0), (width / 2, 0.015, deep / 2), wood))
        if board < boards and random.random() < 0.8:
            share, tall = random.uniform(0.4, 0.95), min(random.uniform(0.2, 0.3), (height - 0.1) / boards - 0.05)
            spines = random_surface(random, ["blocks", "stripes"], (0.15, 0.8), (0.03, 0.06), saturation=0.7)
            half = (share * (width / 2 - 0.03), tall / 2, 0.09)
            parts.append(Part("books", ((share - 1) * (width / 2 - 0.03), y + 0.015 + tall / 2, 0), half, spines))
    return Item(parts, width, deep)


def _cabinet(random: Random) -> Item:
    width, height, deep = random.uniform(0.5, 1.3), random.uniform(0.6, 1.9), random.uniform(0.4, 0.6)
    look = random_surface(random, ["wood", "plain", "tiles"], (0.15, 0.85), (0.3, 0.5))
    parts = [Part("furniture", (0, height / 2, 0), (width / 2, height / 2, deep / 2), look)]
    if height < 1.3:
        parts += _clutter(random, height, width, deep, 3)
    return Item(parts, width, deep)


def _tv_stand(random: Random) -> Item:
    width, height, screen = random.uniform(0.9, 1.5), random.uniform(0.4, 0.8), random.uniform(0.35, 0.6)
    first, second = (random_colour(random, (0.01, 0.06), 0.3) for _ in range(2))
    look = Surface(first, second, "noise", 0.3, glow=random.uniform(0, 1.5))
    case = Surface((0.02,) * 3, (0.02,) * 3)
    y = height + 0.06 + screen * 0.6
    parts = [
        Part("furniture", (0, height / 2, 0), (width / 2, height / 2, 0.22), _wooden(random)),
        Part("tv", (0, height + 0.03, 0), (0.15, 0.03, 0.1), case),
        Part("tv", (0, y, 0.02), (screen, screen * 0.6, 0.04), case),
        Part("tv", (0, y, -0.025), (screen * 0.95, screen * 0.55, 0.01), look),
    ]
    return Item(parts, width, 0.45)


def _table_parts(random: Random, width: float, deep: float, height: float) -> list[Part]:
    wood = _wooden(random)
    legs = [(x, z) for x in (-width / 2 + 0.05, width / 2 - 0.05) for z in (-deep / 2 + 0.05, deep / 2 - 0.05)]
    parts = [Part("table", (0, height - 0.02, 0), (width / 2, 0.02, deep / 2), wood)]
    parts += [Part("table", (x, (height - 0.04) / 2, z), (0.03, (height - 0.04) / 2, 0.03), wood) for x, z in legs]
    return parts + _clutter(random, height, width, deep, 5)


def _dining(random: Random) -> Item:
    """A table with chairs around it."""
    width, deep, height = random.uniform(0.9, 1.6), random.uniform(0.7, 1.0), random.uniform(0.7, 0.78)
    parts = _table_parts(random, width, deep, height)
    cloth = random_surface(random, ["plain", "wood", "noise"], (0.1, 0.6), (0.1, 0.3))
    for x in (-width / 4, width / 4):
        for side in (-1, 1):
            if random.random() < 0.8:
                away = deep / 2 + random.uniform(0.05, 0.25)
                parts += _chair_parts(cloth, x, side * away, 0.0 if side > 0 else math.pi, random.uniform(-0.3, 0.3))
    return Item(parts, width, deep + 0.9)


def _desk(random: Random) -> Item:
    width, deep, height = random.uniform(1.0, 1.6), random.uniform(0.55, 0.75), random.uniform(0.7, 0.78)
    parts = _table_parts(random, width, deep, height)
    if random.random() < 0.5:
        dark = Surface((0.02,) * 3, (0.1, 0.2, 0.4), "noise", 0.2, glow=random.uniform(0, 1.0))
        parts.append(Part("tv", (random.uniform(-0.2, 0.2), height + 0.22, 0.1), (0.26, 0.18, 0.02), dark))
    return Item(parts, width, deep)


def _chair(random: Random) -> Item:
    cloth = random_surface(random, ["plain", "wood", "noise", "checks"], (0.05, 0.7), (0.05, 0.3))
    return Item(_chair_parts(cloth, 0.0, 0.0, 0.0, random.uniform(-0.5, 0.5)), 0.6, 0.6)


def _chair_parts(look: Surface, x: float, z: float, facing: float, turn: float) -> list[Part]:
    """Seat, back and legs of a chair at (x, z), its back away from the table when it faces one."""
    yaw = facing + turn
    cos, sin = math.cos(yaw), math.sin(yaw)

    def part(a: float, y: float, b: float, half: tuple[float, float, float]) -> Part:
        return Part("chair", (x + cos * a + sin * b, y, z - sin * a + cos * b), half, look, yaw)

    legs = [part(a, 0.21, b, (0.02, 0.21, 0.02)) for a in (-0.18, 0.18) for b in (-0.18, 0.18)]
    return [part(0, 0.45, 0, (0.21, 0.03, 0.21)), part(0, 0.7, 0.19, (0.21, 0.25, 0.02)), *legs]


def _box_pile(random: Random) -> Item:
    """Things on the floor: boxes, bags, balls."""
    parts, y = [], 0.0
    half = random.uniform(0.12, 0.3)
    for _ in range(int(random.integers(1, 4))):
        tall = random.uniform(0.08, 0.2)
        look = random_surface(random, ["plain", "noise", "stripes"], (0.1, 0.8), (0.05, 0.2), saturation=0.7)
        parts.append(Part("objects", (0, y + tall, 0), (half, tall, half * 0.8), look, random.uniform(-0.4, 0.4)))
        y, half = y + 2 * tall, half * 0.8
    return Item(parts, 0.6, 0.6)


def _clutter(random: Random, top: float, width: float, deep: float, most: int) -> list[Part]:
    """Small things on a surface at height ``top``; some carry no label, as in the real set."""
    parts = []
    for _ in range(int(random.integers(0, most + 1))):
        x, z = random.uniform(-0.4, 0.4) * width, random.uniform(-0.35, 0.35) * deep
        look = random_surface(random, ["plain", "blocks", "noise"], (0.1, 0.9), (0.03, 0.1), saturation=0.9)
        label = str(random.choice(["objects", "objects", "objects", "books", "unlabelled"]))
        if label == "objects" and random.random() < 0.5:
            radius = random.uniform(0.05, 0.13)
            parts.append(Part(label, (x, top + radius, z), (radius,), look))
        else:
            tall = random.uniform(0.02, 0.06) if label == "books" else random.uniform(0.04, 0.16)
            half = (random.uniform(0.05, 0.15), tall, random.uniform(0.05, 0.12))
            parts.append(Part(label, (x, top + tall, z), half, look, random.uniform(-0.8, 0.8)))
    return parts


def _wooden(random: Random) -> Surface:
    hue, value = random.uniform(0.04, 0.1), random.uniform(0.1, 0.6)
    light, dark = (colorsys.hsv_to_rgb(hue, 0.6, v) for v in (value, value * 0.7))
    return Surface(light, dark, "wood", random.uniform(0.3, 0.6))

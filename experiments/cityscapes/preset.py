"""Print the preset that suits what is here: the arguments are those of the trainer."""

from __future__ import annotations

import sys

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.scenes.preset import suitable_preset

if __name__ == "__main__":
    print(suitable_preset(CITYSCAPES, sys.argv[1:]))

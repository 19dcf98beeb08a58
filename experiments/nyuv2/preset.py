"""Print the preset that suits what is here: the arguments are those of the trainer."""

from __future__ import annotations

import sys

from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.preset import suitable_preset

if __name__ == "__main__":
    print(suitable_preset(NYUV2, sys.argv[1:]))

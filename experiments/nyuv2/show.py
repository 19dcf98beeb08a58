"""Look at a finished NYUv2 run: ``python -m experiments.nyuv2.show run=runs/nyuv2/ls-seed0-1234abcd``.

Settings, each as key=value:

  run=FOLDER                  the folder of a finished run (required)
  out=FOLDER/pictures         where the pictures go
  count=8                     so many test frames, evenly spread; without it all that the run was tested on
  root=data/nyuv2             the store, where it is no longer found as at training time
  device=auto                 auto, cpu, cuda, ...

A picture shows a frame's colours, labels, depth and normals: true, predicted, and the error. ``curves.png`` shows the
training losses and a test metric of each task over the epochs.
"""

from __future__ import annotations

from experiments.common.errors import exits_cleanly
from experiments.common.options import parse_options
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.show import ShowOptions, show


@exits_cleanly
def main() -> None:
    show(NYUV2, parse_options(ShowOptions, description=__doc__))


if __name__ == "__main__":
    main()

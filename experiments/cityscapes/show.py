"""Look at a finished Cityscapes run: ``python -m experiments.cityscapes.show run=runs/cityscapes/ls-seed0-1234abcd``.

Settings, each as key=value:

  run=FOLDER                  the folder of a finished run (required)
  out=FOLDER/pictures         where the pictures go
  count=8                     so many test frames, evenly spread; without it all that the run was tested on
  root=data/cityscapes        the store, where it is no longer found as at training time
  device=auto                 auto, cpu, cuda, ...

A picture shows a frame's colours, labels and inverse depth: true, predicted, and the error. ``curves.png`` shows the
training losses and a test metric of each task over the epochs.
"""

from __future__ import annotations

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.errors import exits_cleanly
from experiments.common.options import parse_options
from experiments.scenes.show import ShowOptions, show


@exits_cleanly
def main() -> None:
    show(CITYSCAPES, parse_options(ShowOptions, description=__doc__))


if __name__ == "__main__":
    main()

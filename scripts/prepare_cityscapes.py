"""Turn any form of Cityscapes into the project's store: see ``experiments/cityscapes/prepare.py`` or ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from experiments.cityscapes.prepare import main

if __name__ == "__main__":
    main()

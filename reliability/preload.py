"""Imported once by the server whose children the runs are: everything that a run will import."""

import importlib

from reliability.trainers import TRAINERS

for trainer in TRAINERS.values():
    importlib.import_module(trainer.module)

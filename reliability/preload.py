"""Imported once by the server whose children the runs are: everything that a run will import."""

import importlib
import threading

from tqdm import tqdm

from reliability.trainers import TRAINERS

tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a killed run would leave behind
for trainer in TRAINERS.values():
    importlib.import_module(trainer.module)

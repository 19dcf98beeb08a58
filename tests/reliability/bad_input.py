"""The table of bad input: what is given to which command, and what its one line of error must say."""

from __future__ import annotations

from tests.reliability.bad_data import PREPARE_CITYSCAPES, PREPARE_NYUV2
from tests.reliability.bad_records import BASELINES, CHECK_PUBLISHED, FIGURES, PLAY, REPORT, SELECT, SHOW, STATUS
from tests.reliability.bad_rows import Row
from tests.reliability.bad_settings import CITYSCAPES, EVERY_TRAINER, MT10, NYUV2, QM9, SUPERVISED

#: By command; the trainers' own rows follow those of every trainer.
TABLE: dict[str, list[Row]] = {
    "qm9": [*EVERY_TRAINER, *SUPERVISED, *QM9],
    "nyuv2": [*EVERY_TRAINER, *SUPERVISED, *NYUV2],
    "cityscapes": [*EVERY_TRAINER, *SUPERVISED, *CITYSCAPES],
    "mt10": [*EVERY_TRAINER, *MT10],
    "report": REPORT,
    "figures": FIGURES,
    "prepare_nyuv2": PREPARE_NYUV2,
    "prepare_cityscapes": PREPARE_CITYSCAPES,
    "status": STATUS,
    "select": SELECT,
    "log_baselines": BASELINES,
    "check_published": CHECK_PUBLISHED,
    "play": PLAY,
    "show": SHOW,
}

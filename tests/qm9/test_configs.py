"""Every file under ``configs`` composes and makes what it names, and says all that there is to set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.cityscapes import config as _cityscapes  # noqa: F401 (makes its schema known)
from experiments.common.config import CONFIGS, make_method
from experiments.common.names import PAPER_METHODS
from experiments.nyuv2 import config as _  # noqa: F401 (makes its schema known)
from methods import METHODS, method_options
from tests.qm9.runs import configured

METHOD_FILES = sorted((CONFIGS / "method").glob("*.yaml"))
PRESETS = sorted(path.stem for path in (CONFIGS / "qm9" / "preset").glob("*.yaml"))
LOGGERS = sorted(path.stem for path in (CONFIGS / "logger").glob("*.yaml"))


def test_every_method_has_a_file() -> None:
    assert {path.stem for path in METHOD_FILES} == set(METHODS)


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.stem)
def test_a_method_file_lists_its_options_and_makes_the_method(path: Path) -> None:
    keys = [str(key) for key in OmegaConf.load(path)]
    assert keys[0] == "name" and set(keys[1:]) == set(method_options(path.stem)) and len(set(keys)) == len(keys)
    overrides = [f"method={path.stem}", "seed=7"]
    if path.stem == "stl":
        overrides.append("method.main_task=10")
    method = make_method(configured(overrides), 11, torch.device("cpu"))
    assert type(method) is METHODS[path.stem] and method.n_tasks == 11
    if "seed" in keys:
        drawn = method.generator.initial_seed()  # type: ignore[attr-defined]
        assert drawn == 7, "seed: null takes the run's"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("logger", LOGGERS)
def test_presets_and_loggers_compose(preset: str, logger: str) -> None:
    config = configured([f"preset={preset}", f"logger={logger}"])
    assert config.preset == preset and config.logger.name == logger and config.benchmark == "qm9"


def test_the_paper_preset_is_the_papers_protocol() -> None:
    config = configured(["preset=paper"])
    assert (config.trainer.epochs, config.trainer.batch_size) == (300, 120)
    assert (config.data.train, config.data.validation, config.data.test) == (None, 10_000, 10_000)
    assert (config.model.network, config.model.dim, config.model.edge_hidden) == ("dense", 64, 128)
    assert config.data.statistics == "train" and config.report.reference == "published"


@pytest.mark.parametrize("benchmark", ["qm9", "nyuv2", "cityscapes"])
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_a_sweep_of_a_preset_takes_the_papers_methods(benchmark: str, preset: str) -> None:
    with initialize_config_dir(str(CONFIGS / benchmark), version_base="1.3"):
        config = compose("train", [f"preset={preset}"], return_hydra_config=True)
    assert config.hydra.sweeper.params.method.split(",") == list(PAPER_METHODS)

"""Schema of the MT10 configuration; values in ``configs/mt10``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.common.config import BaseConfig, RunConfig, check_base, check_keys, make_method, require
from experiments.common.errors import UserError
from experiments.mt10.agents import check_agent, check_method
from experiments.mt10.batch import BACKENDS
from experiments.mt10.learner import check_options
from experiments.mt10.problems import problem_tasks, repeats_episodes
from experiments.mt10.sac import SACOptions
from experiments.mt10.sweep import register_rows

AUTO = "auto"
_EPISODES = 10  # of an evaluation where they differ
_MOST_SEEDS = 64  # in one process; more is a slip


@dataclass
class AgentConfig:
    name: str = MISSING


@dataclass
class MT10TrainerConfig:
    """Lengths in vector steps, one step of every task each; see :class:`experiments.mt10.loop.Schedule`.

    ``replay_capacity``: transitions of each task that the replay buffer holds. ``reward_scale``: factor on the
    rewards that are learned from, not on the returns that are recorded. ``evaluation_episodes``: of each task; null
    becomes 1 where all episodes of a policy are the same, as with one fixed goal, and 10 elsewhere.
    """

    steps: int = MISSING
    initial_steps: int = MISSING
    initial_updates: int = MISSING
    replay_capacity: int = MISSING
    reward_scale: float = MISSING
    evaluate_every: int = MISSING
    evaluation_episodes: int | None = None


@dataclass
class MT10RunConfig(RunConfig):
    """``workers``: processes that step the environments, 0 for none, null for as many as
    :func:`experiments.mt10.workers.automatic_workers` says; ``seeds_together``: how many seeds, from ``seed`` on, one
    process trains side by side."""

    workers: int | None = None
    seeds_together: int = 1


@dataclass
class MT10Config(BaseConfig):
    """``profile``: of the environments; ``tasks``: null for all; ``backend``: lean, or stock for Meta-World's own.

    ``sac.capture`` may be ``auto`` here.
    """

    agent: AgentConfig = field(default_factory=AgentConfig)
    profile: str = MISSING
    tasks: list[str] | None = None
    backend: str = "lean"
    sac: SACOptions = field(default_factory=SACOptions)
    trainer: MT10TrainerConfig = field(default_factory=MT10TrainerConfig)
    run: MT10RunConfig = field(default_factory=MT10RunConfig)

    @property
    def seeds(self) -> list[int]:
        """The seeds that this process trains."""
        return [self.seed + offset for offset in range(self.run.seeds_together)]


ConfigStore.instance().store(name="mt10_schema", node=MT10Config)
register_rows()


def checked(config: DictConfig) -> MT10Config:
    """The configuration as an object; raises :class:`UserError` for a value that cannot be run."""
    check_keys(config, MT10Config())
    result = OmegaConf.to_object(config)
    assert isinstance(result, MT10Config)
    check_base(result)
    tasks = problem_tasks(result.profile, result.tasks)
    require(result.backend in BACKENDS, "backend", result.backend, " or ".join(BACKENDS))
    if result.trainer.evaluation_episodes is None:  # before the run has a name: null and its meaning are one run
        result.trainer.evaluation_episodes = 1 if repeats_episodes(result.profile) else _EPISODES
    for name in ("steps", "initial_steps", "replay_capacity", "evaluate_every", "evaluation_episodes"):
        value = getattr(result.trainer, name)
        require(value >= 1, f"trainer.{name}", value, "at least 1")
    scale = result.trainer.reward_scale
    require(0 < scale < math.inf, "trainer.reward_scale", scale, "a positive number")
    updates = result.trainer.initial_updates
    require(updates >= 0, "trainer.initial_updates", updates, "0 or more")
    sac_options(result.sac, torch.device("cpu"))
    workers = result.run.workers
    require(workers is None or workers >= 0, "run.workers", workers, "0 (in this process) or more, or null")
    together = result.run.seeds_together
    require(1 <= together <= _MOST_SEEDS, "run.seeds_together", together, f"1 to {_MOST_SEEDS}")
    check_agent(result.agent.name, result.method.get("name", ""))
    check_method(result.agent.name, make_method(result, len(tasks), torch.device("cpu")))
    return result


def sac_options(options: SACOptions, device: torch.device) -> SACOptions:
    """The options with ``capture=auto`` decided: CUDA graphs on a GPU, where what is asked for can be captured.

    Raises :class:`UserError` for values that cannot be run.
    """
    if options.capture == AUTO:
        possible = options.sampling == "balanced" and not options.temperature_in_aggregation
        options = replace(options, capture="graph" if device.type == "cuda" and possible else "none")
    try:
        check_options(options)
    except UserError as error:
        raise UserError(f"sac.{error}") from None
    return options

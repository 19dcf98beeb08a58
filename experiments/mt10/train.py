"""Train on MT10: ``python -m experiments.mt10.train agent=mtl_sac method=nash_mtl seed=0``; ``-m`` for several."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments.common.checkpoint import load_checkpoint, remove_checkpoints
from experiments.common.config import command, make_method
from experiments.common.launch import prepare_device
from experiments.common.progress import tell
from experiments.common.records import begin_record, claim, read_record, run_name
from experiments.common.tracking import open_tracker
from experiments.mt10.config import MT10Config, checked, sac_options
from experiments.mt10.learner import Learner
from experiments.mt10.loop import Schedule, Training
from experiments.mt10.problems import open_environments, problem_tasks, provenance
from experiments.mt10.replay import Replay
from experiments.mt10.workers import automatic_workers
from methods import Method


def train(config: MT10Config) -> list[dict[str, Any]]:
    """Carry out the runs of all seeds of a process, or go on with them, and return their records.

    Each seed has a folder and a record of its own. Seeds that are finished are left out; a seed that another process
    holds leaves all to that process.
    """
    root = Path(config.run.root)
    settings = {seed: asdict(replace(config, seed=seed)) for seed in config.seeds}
    folders = {seed: root / run_name(own) for seed, own in settings.items()}
    with ExitStack() as stack:
        for folder in folders.values():
            if not stack.enter_context(claim(folder)):
                tell(f"{folder.name} is being run by another process, skipped.")
                return [read_record(folder) or {} for folder in folders.values()]
        seeds = _unfinished(folders)
        if seeds:
            _run(config, seeds, settings, folders)
    return [read_record(folder) or {} for folder in folders.values()]


def _unfinished(folders: dict[int, Path]) -> list[int]:
    """The seeds still to be trained; all of them where the process was killed between their last records."""
    records = {seed: read_record(folder) for seed, folder in folders.items()}
    done = [seed for seed, record in records.items() if record is not None and record["status"] == "finished"]
    first = folders[min(folders)]
    if 0 < len(done) < len(folders) and min(folders) not in done:
        state = load_checkpoint(first)
        if state is not None and state.get("seeds") == list(folders):
            return list(folders)
    for seed in done:
        tell(f"{folders[seed].name} is finished, skipped.")
        remove_checkpoints(folders[seed])  # where the run was killed between its last two actions
    return [seed for seed in folders if seed not in done]


def _run(config: MT10Config, seeds: list[int], settings: dict[int, dict[str, Any]], folders: dict[int, Path]) -> None:
    device = prepare_device(config.run)
    tasks = problem_tasks(config.profile, config.tasks)
    options = sac_options(config.sac, device)
    workers = config.run.workers
    if workers is None:
        workers = automatic_workers(device.type == "cuda", len(seeds) * len(tasks))
    with ExitStack() as stack:
        environment, evaluation_environment = (
            stack.enter_context(
                closing(
                    open_environments(
                        config.profile,
                        tasks=tasks,
                        seeds=seeds,
                        backend=config.backend,
                        workers=workers,
                        evaluation=evaluation,
                    )
                )
            )
            for evaluation in (False, True)
        )

        def method_of(seed: int) -> Method:
            return make_method(replace(config, seed=seed), len(tasks), device)

        sizes = {"observation_size": environment.observation_size, "action_size": environment.action_size}
        learner = Learner(
            config.agent.name,
            n_tasks=len(tasks),
            seeds=seeds,
            make_method=method_of,
            options=options,
            device=device,
            tasks=tasks,
            **sizes,
        )
        replay = Replay(
            len(seeds),
            len(tasks),
            min(config.trainer.replay_capacity, config.trainer.steps),
            device=device,
            sampling=options.sampling,
            **sizes,
        )
        data = {
            **provenance(config.profile, config.backend, environment),
            "parameters": learner.parameter_counts(),
            "seeds_together": seeds,
        }
        records = [begin_record(folders[seed], settings[seed], device, data) for seed in seeds]
        own = [folders[seed] for seed in seeds]
        Training(
            learner=learner,
            replay=replay,
            environment=environment,
            evaluation_environment=evaluation_environment,
            schedule=_schedule(config),
            folders=own,
            records=records,
            trackers=[
                open_tracker(settings[seed]["logger"], folder, record)
                for seed, folder, record in zip(seeds, own, records, strict=True)
            ],
            device=device,
            show_progress=config.run.progress,
        ).train()


def _schedule(config: MT10Config) -> Schedule:
    trainer = config.trainer
    assert trainer.evaluation_episodes is not None  # a checked configuration's
    return Schedule(
        steps=trainer.steps,
        initial_steps=trainer.initial_steps,
        initial_updates=trainer.initial_updates,
        batch_per_task=config.sac.batch_per_task,
        reward_scale=trainer.reward_scale,
        evaluate_every=trainer.evaluate_every,
        evaluation_episodes=trainer.evaluation_episodes,
        checkpoint_every=config.run.checkpoint_every,
    )


@command("mt10/train")
def main(config: DictConfig) -> list[dict[str, Any]]:
    return train(checked(config))


if __name__ == "__main__":
    main()

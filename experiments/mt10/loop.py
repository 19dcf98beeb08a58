"""The training of S seeds in one process: collect a step, update once, evaluate now and then, save everything.

What is due next follows from how far the run is, so that a run that is killed at any moment resumes from its last
checkpoint and ends, on a CPU, with the numbers of an unbroken one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from experiments.common.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from experiments.common.errors import Diverged, UserError
from experiments.common.interruption import Interrupted, interruption
from experiments.common.progress import ProgressDisplay, tell
from experiments.common.records import now, write_record
from experiments.common.tracking import Pictures, Tracker, flat_metrics
from experiments.mt10.environments import VectorEnvironment
from experiments.mt10.evaluate import evaluate
from experiments.mt10.learner import Learner
from experiments.mt10.metrics import SUCCESS, best_evaluation, logged_results, named_metrics, outcome
from experiments.mt10.policy import save_policy
from experiments.mt10.replay import Replay
from experiments.mt10.sums import Sums
from methods import NonFiniteGradient, NonFiniteLoss

_SHOW_EVERY = 200  # updates between two looks at the losses, each of which waits for a GPU
_WARM_UP = 1 << 32  # the warm-up's generators are apart from all others of the same seed


@dataclass(frozen=True)
class Schedule:
    """Lengths in vector steps, of which each is one step of every task's environment.

    ``steps``: in all. ``initial_steps``: with uniformly random actions and without updates, after which
    ``initial_updates`` are made at once; from then on an update follows every step, of ``batch_per_task`` samples.
    ``reward_scale``: factor on the rewards in the replay buffer.
    ``evaluate_every``: steps between evaluations of ``evaluation_episodes`` a task; one follows the last step.
    ``checkpoint_every``: steps between checkpoints, apart from those of the evaluations; 0 for none.
    """

    steps: int
    initial_steps: int
    initial_updates: int
    batch_per_task: int
    reward_scale: float
    evaluate_every: int
    evaluation_episodes: int
    checkpoint_every: int

    def updates_due(self, step: int) -> int:
        """How many updates there are after so many steps."""
        return 0 if step < self.initial_steps else self.initial_updates + step - self.initial_steps

    def evaluation_due(self, step: int) -> bool:
        return step > 0 and (step % self.evaluate_every == 0 or step == self.steps)

    def checkpoint_due(self, step: int) -> bool:
        return self.checkpoint_every > 0 and step > 0 and step % self.checkpoint_every == 0


@dataclass
class Progress:
    """Where a training stands, apart from its networks and environments; all of it is in the checkpoint."""

    step: int = 0
    updates: int = 0
    evaluated: int = 0  # the step of the last evaluation
    wall_seconds: float = 0.0
    timed_seconds: float = 0.0  # of the steps that had one update each
    timed_steps: int = 0
    entries: list[list[dict[str, Any]]] = field(default_factory=list)  # evaluations, by seed


class Training:
    """One training of S seeds: :meth:`train` takes it from wherever it stands to its end.

    ``folders``, ``records`` and ``trackers`` are the seeds'; the checkpoint of all of them lies in the first folder.
    """

    def __init__(
        self,
        *,
        learner: Learner,
        replay: Replay,
        environment: VectorEnvironment,
        evaluation_environment: VectorEnvironment,
        schedule: Schedule,
        folders: Sequence[Path],
        records: Sequence[dict[str, Any]],
        trackers: Sequence[Tracker],
        device: torch.device,
        show_progress: bool = True,
    ) -> None:
        self.learner, self.replay, self.schedule, self.device = learner, replay, schedule, device
        self.environment, self.evaluation_environment = environment, evaluation_environment
        self.folders, self.records, self.trackers = folders, records, trackers
        self.show_progress = show_progress
        self.seeds, self.tasks = list(environment.seeds), list(environment.tasks)
        self.progress = Progress(entries=[[] for _ in self.seeds])
        self.sums = Sums(len(self.seeds), self.tasks, device)
        self.observations = np.zeros(0, dtype=np.float32)  # [S, K, O]
        # A stream of each seed's own, so that its numbers do not depend on the seeds beside it.
        self.action_generators = [np.random.default_rng((seed, _WARM_UP)) for seed in self.seeds]

    def train(self) -> list[dict[str, Any]]:
        """Train to the last step and return the finished records, one a seed.

        Raises :class:`Diverged` for a NaN or infinite loss, gradient or action, :class:`UserError` for a full disk,
        and ``SystemExit`` after writing a checkpoint on SIGINT or SIGTERM.
        """
        self._resume()
        for index in range(len(self.seeds)):
            self._write(index, "running")  # long before the first evaluation, for the status
        display = ProgressDisplay(self._name(), self.schedule.steps, self.progress.step, self.show_progress)
        with interruption() as interrupted:
            try:
                self._run(display, interrupted)
            except (NonFiniteLoss, NonFiniteGradient) as error:
                for index in range(len(self.seeds)):
                    self._end(index, "failed", error=str(error))
                raise Diverged(
                    f"run {self._name()} failed at step {self.progress.step:,} of {self.schedule.steps:,}: {error} "
                    "A lower sac.lr may help."
                ) from error
            finally:
                display.close()
        for index in reversed(range(len(self.seeds))):  # the first last: its folder holds the checkpoint of all
            save_policy(self.folders[index], self.learner, index)
            last = self.progress.entries[index][-1]["epoch"]
            self.trackers[index].log_pictures(partial(self._pictures, index), last)
            self._end(index, "finished", results=self._results(index))
        remove_checkpoints(self.folders[0])
        if interrupted:  # too late to interrupt this run, but not what would follow
            raise SystemExit(128 + interrupted[0])
        return list(self.records)

    def _run(self, display: ProgressDisplay, interrupted: list[int]) -> None:
        schedule, progress = self.schedule, self.progress
        saved = progress.step
        while True:
            started = time.perf_counter()
            due = schedule.updates_due(progress.step) - progress.updates
            if due > 0:
                self._update(display)
                self._count_time(started, training=True, timed=progress.step > schedule.initial_steps)
            elif schedule.evaluation_due(progress.step) and progress.evaluated < progress.step:
                self._evaluate(display, started)
                saved = progress.step
            elif progress.step == schedule.steps:
                return
            elif schedule.checkpoint_due(progress.step) and saved < progress.step:
                self._count_time(started)
                self._save()
                saved = progress.step
            else:
                self._collect()
                display.step()
                timed = progress.step > schedule.initial_steps
                progress.timed_steps += timed
                self._count_time(started, training=True, timed=timed)
            if interrupted:
                self._leave(interrupted[0])

    def _collect(self) -> None:
        """One step of every environment into the replay buffer."""
        progress, shape = self.progress, (len(self.tasks), self.environment.action_size)
        if progress.step % self.environment.horizon == 0:
            self.observations = self.environment.reset()
        if progress.step < self.schedule.initial_steps:
            drawn = [random.uniform(-1.0, 1.0, shape) for random in self.action_generators]
            actions = np.stack(drawn).astype(np.float32)
        else:
            observations = torch.from_numpy(self.observations).to(self.device)
            actions = self.learner.act(observations, deterministic=False).cpu().numpy()
        if not np.isfinite(actions).all():
            raise NonFiniteLoss(f"the actions are not finite {self._where(~np.isfinite(actions))}.")
        step = self.environment.step(actions)
        self.replay.add(self.observations, actions, step.rewards * self.schedule.reward_scale, step.observations)
        self.observations = step.observations
        self.sums.add_step(step.raw_rewards, step.successes)
        progress.step += 1
        if progress.step % self.environment.horizon == 0:
            self.sums.end_episode()

    def _update(self, display: ProgressDisplay) -> None:
        progress = self.progress
        batch = self.replay.sample(self.schedule.batch_per_task, self.learner.generators)
        self.sums.add_update(self.learner.update(batch), samples=len(self.tasks) * self.schedule.batch_per_task)
        progress.updates += 1
        if self.show_progress and progress.updates % _SHOW_EVERY == 0:
            display.show(self._status())

    def _evaluate(self, display: ProgressDisplay, started: float) -> None:
        """Evaluate, write the records, and save everything: rather twice than never, if killed between."""
        progress = self.progress
        self.learner.check_finite()
        undone = self.evaluation_environment.state_dict()
        try:
            statistics = evaluate(self.learner, self.evaluation_environment, self.schedule.evaluation_episodes)
        except Interrupted as signal:
            self.evaluation_environment.load_state_dict(undone)
            self._count_time(started)
            self._leave(signal.number)
        self._count_time(started)
        before = sum(entry["seconds"] for entry in progress.entries[0])
        for index in range(len(self.seeds)):
            test = named_metrics(self.tasks, statistics.success[index], statistics.returns[index])
            entry = {
                "epoch": len(progress.entries[index]),
                "step": progress.step,
                "updates": progress.updates,
                "learning_rate": self.learner.options.lr,
                **self.sums.entry(index),
                "test": test,
                "score": test[SUCCESS],
                "seconds": progress.wall_seconds - before,
            }
            progress.entries[index].append(entry)
            self.trackers[index].log(flat_metrics(entry), entry["epoch"])
        progress.evaluated = progress.step
        self.sums.clear()
        display.show(self._status())
        self._save()
        for index in range(len(self.seeds)):
            self._write(index, "running")

    def _status(self) -> str:
        """Losses since the last evaluation, and its success, as a mean over seeds and tasks."""
        parts = [f"{name} loss {value:.3g}" for name, value in self.sums.mean_losses().items()]
        if self.progress.evaluated:
            successes = [entries[-1]["test"][SUCCESS] for entries in self.progress.entries]
            parts.append(f"success {sum(successes) / len(successes):.2f}")
        return ", ".join(parts)

    def _name(self) -> str:
        names = [record["name"] for record in self.records]
        return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more seeds)"

    def _where(self, bad: np.ndarray) -> str:
        """In words, for which seeds and tasks ``bad`` ``[S, K, A]`` is true anywhere."""
        pairs = np.argwhere(bad.any(axis=-1))
        return "for " + ", ".join(f"seed {self.seeds[s]} task {self.tasks[k]}" for s, k in pairs)

    # --- checkpoints and records ---

    def _resume(self) -> None:
        state = load_checkpoint(self.folders[0])
        if state is None:
            return
        try:
            self._restore(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"the checkpoint in {self.folders[0]} is of another version or other seeds ({reason}); repeat the "
                "command that made it, or delete the folder to start anew."
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        if state["seeds"] != self.seeds:
            raise ValueError(f"it holds seeds {state['seeds']}, not {self.seeds}")
        if state["run"] != self.records[0]["name"]:
            raise ValueError(f"it is of {state['run']}")
        self.learner.load_state_dict(state["learner"])
        self.replay.load_state_dict(state["replay"])
        self.environment.load_state_dict(state["environment"])
        self.evaluation_environment.load_state_dict(state["evaluation_environment"])
        self.sums.load_state_dict(state["sums"])
        self.progress = Progress(**state["progress"])
        self.observations = state["observations"].numpy()
        for random, saved in zip(self.action_generators, state["action_generators"], strict=True):
            random.bit_generator.state = saved

    def _save(self) -> None:
        state = {
            "seeds": self.seeds,
            "run": self.records[0]["name"],
            "learner": self.learner.state_dict(),
            "replay": self.replay.state_dict(),
            "environment": self.environment.state_dict(),
            "evaluation_environment": self.evaluation_environment.state_dict(),
            "sums": self.sums.state_dict(),
            "progress": vars(self.progress),
            "observations": torch.from_numpy(self.observations),
            "action_generators": [random.bit_generator.state for random in self.action_generators],
        }
        save_checkpoint(self.folders[0], state)

    def _leave(self, signal_number: int) -> NoReturn:
        """Save all and exit with the status that shells expect of a signal."""
        self._save()
        for index in range(len(self.seeds)):
            self._end(index, "interrupted")
        where = self.folders[0]
        tell(f"\n{self._name()} interrupted, saved in {where}; run again to go on.", aside=True)
        raise SystemExit(128 + signal_number)

    def _results(self, index: int) -> dict[str, Any]:
        """The seed's outcome, with the run time of an episode of collection and updates, per seed."""
        progress, seeds = self.progress, len(self.seeds)
        steps = max(progress.timed_steps, 1)
        seconds = progress.timed_seconds / steps * self.environment.horizon / seeds
        return {**outcome(progress.entries[index]), "seconds_per_episode": seconds, "seeds_together": seeds}

    def _end(self, index: int, status: str, **fields: Any) -> None:
        self._write(index, status, **fields)
        results = fields.get("results")
        self.trackers[index].finish({"status": status} if results is None else logged_results(results))

    def _pictures(self, index: int) -> Pictures:
        from experiments.mt10.run_pictures import run_pictures  # brings matplotlib, which only a tracker needs

        return run_pictures(self.records[index]["name"], self.tasks, self.progress.entries[index])

    def _write(self, index: int, status: str, **fields: Any) -> None:
        entries = self.progress.entries[index]
        self.records[index] |= {
            "status": status,
            "wall_seconds": self.progress.wall_seconds,
            "epochs": entries,
            "best_epoch": best_evaluation(entries) if entries else None,
            "finished": now() if status in ("finished", "failed") else None,
            **fields,
        }
        write_record(self.folders[index], self.records[index])

    def _count_time(self, started: float, *, training: bool = False, timed: bool = False) -> None:
        seconds = time.perf_counter() - started
        self.progress.wall_seconds += seconds
        if training:
            self.sums.seconds += seconds
        if timed:
            self.progress.timed_seconds += seconds

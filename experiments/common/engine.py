"""The training loop that every supervised benchmark runs: epochs, evaluation, selection, checkpoints, record.

The backward pass is ``method.backward``, in plain sight below; everything else is bookkeeping. A run that is
killed at any moment resumes from its last checkpoint and ends with the numbers of an unbroken one.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from experiments.common import parallel
from experiments.common.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint, save_network
from experiments.common.epoch_sums import EpochSums
from experiments.common.errors import Diverged, UserError
from experiments.common.interruption import Interrupted, interruption
from experiments.common.progress import ProgressDisplay, tell
from experiments.common.published import find_published
from experiments.common.records import RECORD, now, write_record
from experiments.common.second_forward import random_states, second_forward
from experiments.common.tracking import NoTracker, Pictures, Tracker, flat_metrics
from methods import Method, NonFiniteGradient, NonFiniteLoss, NonPositiveLoss


class Network(Protocol):
    """What the loop asks of a problem's ``model``, a ``torch.nn.Module``."""

    def shared_parameters(self) -> Iterable[torch.nn.Parameter]:
        """What the task gradients are taken of."""

    def task_specific_parameters(self) -> Iterable[torch.nn.Parameter]:
        """The heads, and whatever belongs to one task."""


class Problem(Protocol):
    """What a benchmark brings to the loop."""

    @property
    def tasks(self) -> Sequence[str]:
        """Names of the K losses."""

    @property
    def splits(self) -> Sequence[str]:
        """Evaluated after every epoch, ``test`` among them."""

    @property
    def keeps_best(self) -> bool:
        """Whether the network that stays is that of the epoch with the best score, or else the last."""

    @property
    def model(self) -> torch.nn.Module:
        """The network, which is also a :class:`Network`."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """Handles of the epoch's batches; a function of seed and epoch alone."""

    def losses(self, handle: Any) -> tuple[Tensor | Sequence[Tensor], Tensor | Sequence[Tensor]]:
        """Task losses ``[K]`` and the representation, batch first, for one batch.

        The same batch with the same random numbers if it is called a second time, for a method that asks for the
        losses after a step.

        Where several processes share a batch, those of this one's :func:`experiments.common.parallel.share`.
        """

    def evaluate(self, split: str) -> dict[str, float]:
        """The metrics on one of ``splits``; with ``delta_m`` where all tasks are trained.

        Its batches go through :func:`experiments.common.interruption.uninterrupted`; it changes nothing and draws no
        random number, so that it can be broken off and repeated.
        """

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        """What selection and a plateau schedule minimise, from the metrics of all splits."""

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        """The run's outcome from its epochs: ``epoch``, test ``metrics`` and ``delta_m``."""

    def describe_score(self, score: float) -> str:
        """The score in words for the progress display, such as ``validation Δm 62.0 %``."""


@dataclass
class Progress:
    """Where a run stands, apart from its networks; all of it is in the checkpoint."""

    epoch: int = 0
    step: int = 0  # within the epoch
    wall_seconds: float = 0.0
    best_score: float = float("inf")
    best_epoch: int | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)


class NonFiniteMetric(RuntimeError):
    """A metric is NaN or infinite though no loss was: the last step of the epoch went astray."""


def _samples(representation: Tensor | Sequence[Tensor]) -> int:
    """The batch's size, which every feature has as its first dimension."""
    return len(representation if isinstance(representation, Tensor) else representation[0])


def _of_all_processes(losses: Tensor, samples: int, interrupted: list[int]) -> tuple[Tensor, int, list[int]]:
    """Losses ``[K]`` and samples of the whole batch, and the signals on which all processes leave after this step."""
    if parallel.size() == 1:
        return losses, samples, interrupted
    own = losses.new_tensor([samples, bool(interrupted)])
    *summed, samples_, received = parallel.total(torch.cat([losses / parallel.size(), own])).tolist()
    return losses.new_tensor(summed), int(samples_), [signal.SIGTERM] if received else []


def _of_first(metrics: dict[str, float]) -> dict[str, float]:
    """The first process's metrics, so that all take the same decisions by them."""
    return dict(zip(metrics, parallel.of_first(list(metrics.values())), strict=True))


class Run:
    """One training run in one folder: :meth:`train` takes it from wherever it stands to its end."""

    def __init__(
        self,
        *,
        problem: Problem,
        method: Method,
        optimizer: Optimizer,
        scheduler: LRScheduler | ReduceLROnPlateau,
        folder: Path,
        record: dict[str, Any],
        epochs: int,
        checkpoint_every: int,
        device: torch.device,
        checkpoint_seconds: float = 0.0,
        tracker: Tracker | None = None,
        show_progress: bool = True,
        keep_network: bool = True,
        pictures: Callable[[], Pictures] | None = None,
    ) -> None:
        self.problem, self.method, self.optimizer, self.scheduler = problem, method, optimizer, scheduler
        self.folder, self.record, self.epochs, self.checkpoint_every = folder, record, epochs, checkpoint_every
        self.checkpoint_seconds, self._saved = checkpoint_seconds, time.perf_counter()
        self.device, self.show_progress = device, show_progress
        self.keep_network, self.pictures = keep_network, pictures
        self.tracker = tracker or NoTracker()
        self.progress = Progress()
        self.sums = EpochSums(len(problem.tasks), device)

    def train(self) -> dict[str, Any]:
        """Train to the last epoch and return the finished record.

        Raises :class:`Diverged` for a NaN or infinite loss, gradient or metric, :class:`UserError` for a full disk,
        and ``SystemExit`` after writing a checkpoint on SIGINT or SIGTERM.
        """
        self._resume()
        self._write("running")
        steps = len(self.problem.batches(0))
        done = self.progress.epoch * steps + self.progress.step
        display = ProgressDisplay(self.record["name"], self.epochs * steps, done, self.show_progress)
        with interruption() as interrupted:
            try:
                for epoch in range(self.progress.epoch, self.epochs):
                    self._train_epoch(epoch, display, interrupted)
                    entry = self._end_epoch(epoch)
                    loss = sum(entry["train_losses"].values()) / len(entry["train_losses"])
                    score = self.problem.describe_score(entry["score"])
                    display.show(f"epoch {epoch + 1}/{self.epochs}, loss {loss:.4g}, {score}")
            except (NonFiniteLoss, NonPositiveLoss, NonFiniteGradient, NonFiniteMetric) as error:
                self._end("failed", error=str(error))
                advice = "" if isinstance(error, NonPositiveLoss) else " A lower optimizer.lr may help."
                raise Diverged(
                    f"run {self.record['name']} failed in epoch {self.progress.epoch + 1}/{self.epochs}, "
                    f"step {min(self.progress.step + 1, steps)}/{steps}: {error}{advice}"
                ) from error
            finally:
                display.close()
        results = self.problem.results(self.progress.entries, self.progress.best_epoch or 0)
        if not self.problem.keeps_best:
            self._save_network()  # before the record says that all is there
        if self.pictures is not None:
            self.tracker.log_pictures(self.pictures, self.epochs - 1)
        self._end("finished", results=results)
        if parallel.is_first():
            remove_checkpoints(self.folder)
        if self.show_progress:
            tell(f"{self._summary(results)}; {self.folder / RECORD}")
        if interrupted:  # too late to interrupt this run, but not what would follow
            raise SystemExit(128 + interrupted[0])
        return self.record

    def _train_epoch(self, epoch: int, display: ProgressDisplay, interrupted: list[int]) -> None:
        model, progress = self.problem.model, self.progress
        network = cast(Network, model)
        shared, heads = list(network.shared_parameters()), list(network.task_specific_parameters())
        batches = self.problem.batches(epoch)
        model.train()
        started = time.perf_counter()
        for handle in batches[progress.step :]:
            random = random_states(self.device) if self.method.needs_losses_after else None
            losses, representation = self.problem.losses(handle)
            detached = (losses if isinstance(losses, Tensor) else torch.stack(list(losses))).detach().double()
            detached, samples, signals = _of_all_processes(detached, _samples(representation), interrupted)
            try:
                step = self.method.backward(
                    losses,
                    shared_parameters=shared,
                    task_specific_parameters=heads,
                    representation=representation,
                )
            except NonFiniteLoss as error:
                raise NonFiniteLoss(f"{self._not_finite('loss', detached.tolist())}.") from error
            self.optimizer.step()
            if random is not None:
                with second_forward(model, random, self.device):
                    self.method.update(self.problem.losses(handle)[0])

            self.sums.add(detached, step, samples)
            progress.step += 1
            display.step()
            if signals:
                self._count_time(started, training=True)
                self._leave(signals[0])
            if self.checkpoint_every and progress.step % self.checkpoint_every == 0 and progress.step < len(batches):
                started = self._count_time(started, training=True)
                self._save_if_due()
        self._count_time(started, training=True)

    def _end_epoch(self, epoch: int) -> dict[str, Any]:
        started = time.perf_counter()
        progress = self.progress
        self.problem.model.eval()
        try:
            with torch.no_grad():
                metrics = {split: _of_first(self.problem.evaluate(split)) for split in self.problem.splits}
        except Interrupted as signal_:  # the resumed run stands at the epoch's last step and evaluates anew
            self._count_time(started)
            self._leave(signal_.number)
        for split, values in metrics.items():
            if bad := {name: value for name, value in values.items() if not math.isfinite(value)}:
                listed = ", ".join(f"{name} {value}" for name, value in bad.items())
                raise NonFiniteMetric(f"the {split} metrics are not finite ({listed}).")
        score = self.problem.score(metrics)
        entry = {
            "epoch": epoch,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **self.sums.entry(self.problem.tasks),
            **metrics,
            "score": score,
        }
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, epoch
            if self.problem.keeps_best:
                self._save_network()
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(score)
        else:
            self.scheduler.step()
        self._count_time(started)
        entry["seconds"] = progress.wall_seconds - sum(e["seconds"] for e in progress.entries)
        progress.entries.append(entry)
        progress.epoch, progress.step = epoch + 1, 0
        self.sums = EpochSums(len(self.problem.tasks), self.device)
        self.tracker.log(flat_metrics(entry), epoch)  # before it is saved: rather twice than never, if killed between
        self._save_if_due()
        self._write("running")
        return entry

    def _summary(self, results: dict[str, Any]) -> str:
        """The run in a line; Δm with what it is against, which for short runs is not what the report takes."""
        seconds = tqdm.format_interval(self.progress.wall_seconds)
        if results["delta_m"] is None:
            found = ", ".join(f"{name} {value:.4g}" for name, value in results["metrics"].items())
        else:
            ours = self.record["config"]["report"]["reference"] == "ours"
            known = "our own" if ours else "the published" if find_published(self.record["benchmark"]) else None
            against = f"{known} single-task values" if known else "its reference"
            found = f"Δm {results['delta_m']:.2f} % against {against}"
        return f"{self.record['name']} is finished after {seconds}: test {found}"

    def _save_network(self) -> None:
        if self.keep_network and parallel.is_first():
            save_network(self.folder, self.problem.model)

    def _not_finite(self, what: str, values: Sequence[float]) -> str:
        pairs = zip(self.problem.tasks, values, strict=True)
        return f"the {what} is not finite: " + ", ".join(f"{t} {v}" for t, v in pairs if not math.isfinite(v))

    def _resume(self) -> None:
        state = load_checkpoint(self.folder)
        try:
            if state is not None:
                self._restore(state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"the checkpoint in {self.folder} is of another run or version ({reason}); delete the folder to "
                "start anew."
            ) from error
        stands = [float(self.progress.epoch), float(self.progress.step)]
        if parallel.of_first(stands) != stands:
            raise UserError(
                f"this run's processes see different checkpoints in {self.folder}; choose a run.root that all share."
            )

    def _restore(self, state: dict[str, Any]) -> None:
        if state["run"] != self.record["name"]:
            raise ValueError(f"it is of {state['run']}")
        self.problem.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.progress = Progress(**state["progress"])
        self.sums.load_state_dict(state["sums"])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], self.device)

    def _save_if_due(self) -> None:
        if time.perf_counter() - self._saved >= self.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        if not parallel.is_first():
            return
        state = {
            "run": self.record["name"],
            "model": self.problem.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "progress": vars(self.progress),
            "sums": self.sums.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        save_checkpoint(self.folder, state)
        self._saved = time.perf_counter()

    def _leave(self, signal_number: int) -> NoReturn:
        """Save all and exit with the status that shells expect of a signal."""
        self._save()
        self._end("interrupted")
        parallel.wait_for_all()  # torchrun ends all processes once one has left
        tell(f"\n{self.record['name']} interrupted, saved in {self.folder}; run again to go on.", aside=True)
        raise SystemExit(128 + signal_number)

    def _end(self, status: str, **fields: Any) -> None:
        self._write(status, **fields)
        self.tracker.finish(fields.get("results") or {"status": status})

    def _write(self, status: str, **fields: Any) -> None:
        self.record |= {
            "status": status,
            "wall_seconds": self.progress.wall_seconds,
            "epochs": self.progress.entries,
            "best_epoch": self.progress.best_epoch,
            "finished": now() if status in ("finished", "failed") else None,
            **fields,
        }
        if parallel.is_first():
            write_record(self.folder, self.record)

    def _count_time(self, started: float, training: bool = False) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        stopped = time.perf_counter()
        self.progress.wall_seconds += stopped - started
        if training:
            self.sums.seconds += stopped - started
        return stopped

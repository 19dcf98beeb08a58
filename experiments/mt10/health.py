"""Non-finite losses and gradients of stacked seeds: found before anything is written, named by seed and task.

On a CPU each is reported at once. On a GPU, where looking waits for the device, a flag on the device turns every
later write off (Adam skips its step, moving averages stand still) and is read now and then: the run stops a few
updates later, with the parameters that it had before the first non-finite number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from methods import NonFiniteGradient, NonFiniteLoss

#: How a method, which knows its tasks by number only, lists them.
_NUMBERED = re.compile(r"tasks \[([0-9, ]+)\]")


class Health:
    """Flags of non-finite values for ``seeds`` and ``tasks``, by their names."""

    def __init__(
        self, seeds: Sequence[int], tasks: Sequence[str], components: Sequence[str], device: torch.device
    ) -> None:
        self.seeds, self.tasks, self.device = list(seeds), list(tasks), device
        shape = (len(self.seeds), len(self.tasks))
        self._bad_losses = {name: torch.zeros(shape, dtype=torch.bool, device=device) for name in components}
        self._bad_gradients = {name: torch.zeros(shape[0], dtype=torch.bool, device=device) for name in components}
        self._stopped = torch.zeros((), device=device)  # 1 from the first non-finite value on; as Adam's found_inf

    @property
    def running(self) -> Tensor:
        """1 while all is finite, then 0; a scalar on the device."""
        return 1.0 - self._stopped

    def note_losses(self, component: str, losses: Tensor) -> None:
        """Look at losses [S, K]."""
        bad = ~losses.isfinite()
        self._bad_losses[component] |= bad & (self._stopped == 0)
        self._stop_where(bad)

    def note_gradients(self, component: str, gradients: Sequence[Tensor]) -> None:
        """Look at gradients [S, …] that are about to be written."""
        largest = torch.stack([gradient.abs().flatten(1).amax(dim=1) for gradient in gradients])  # [P, S]
        bad = ~largest.isfinite().all(dim=0)
        self._bad_gradients[component] |= bad & (self._stopped == 0)
        self._stop_where(bad)

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the optimiser's next step do nothing after a non-finite value (as under gradient scaling)."""
        optimizer.found_inf = self._stopped  # type: ignore[attr-defined]

    def check(self) -> None:
        """Raise what has been seen: :class:`NonFiniteLoss` with seeds and tasks, or :class:`NonFiniteGradient`."""
        if not bool(self._stopped):
            return
        stopped = "; nothing of it was written."
        for component, flags in self._bad_losses.items():
            if bool(flags.any()):
                places = ", ".join(f"seed {self.seeds[s]} task {self.tasks[k]}" for s, k in flags.nonzero().tolist())
                raise NonFiniteLoss(f"the {component} loss is not finite for {places}{stopped}")
        for component, flags in self._bad_gradients.items():
            if bool(flags.any()):
                places = ", ".join(f"seed {self.seeds[s]}" for s in flags.nonzero().flatten().tolist())
                raise NonFiniteGradient(
                    f"the {component} gradient holds NaN or infinite values for {places}, though its losses are "
                    f"finite{stopped}"
                )

    @contextmanager
    def naming(self, component: str, index: int) -> Iterator[None]:
        """Say of which component, seed and tasks, by name, a method's complaint about non-finite gradients is."""
        try:
            yield
        except NonFiniteGradient as error:
            named = _NUMBERED.sub(self._names, str(error))
            raise NonFiniteGradient(f"{component} of seed {self.seeds[index]}: {named}") from error

    def _names(self, numbers: re.Match[str]) -> str:
        names = [self.tasks[int(number)] for number in numbers[1].split(",")]
        return ("task " if len(names) == 1 else "tasks ") + ", ".join(names)

    def _stop_where(self, bad: Tensor) -> None:
        torch.maximum(self._stopped, bad.any().to(self._stopped), out=self._stopped)
        if self.device.type == "cpu":
            self.check()

"""How long the paper's NYUv2 run takes on this machine, from some of its steps, with each of the faster options:

    python -m benchmarks.nyuv2_epoch [methods=[nash_mtl,ls]] [preset=paper] [steps=30] [frames=654] [device=auto]

Everything is the trainer's own: configuration, frames, augmentation, losses, method, optimiser and evaluation. Frames
are those of a prepared store where one is found, else rendered rooms (which cost the same time). Each row adds an
option to those above it that paid, and the command of the fastest run is printed last. *step*: the median; *waiting
for data*: the share of it that fetching and augmenting the batch takes, each waited for; *evaluation*: of all 654
test frames, from so many of them as ``frames`` says; *run*: all epochs of the preset with 795 training frames and no
checkpoints; *memory*: the most that tensors took on the GPU.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import torch
from hydra import compose, initialize_config_dir

from benchmarks.timing import seconds
from experiments.common.config import CONFIGS, make_method
from experiments.common.engine import Network
from experiments.common.errors import exits_cleanly
from experiments.common.launch import prepare_device
from experiments.common.optimizer import make_optimizer
from experiments.common.options import parse_options
from experiments.nyuv2.config import checked
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.problem import SceneProblem, frames_of_run

TRAIN, TEST = 795, 654  # frames of the official split
WARM_UP = 3  # steps; compilation is in the first
VARIANTS = (
    ("as configured", ()),
    ("K gradients in a loop", ("method.task_gradients=loop",)),
    ("fused Adam", ("optimizer.fused=true",)),
    ("channels-last", ("speed.channels_last=true",)),
    ("bfloat16", ("speed.autocast=bfloat16",)),
    ("inductor", ("speed.compile=inductor",)),
)


@dataclass
class Options:
    methods: list[str] = field(default_factory=lambda: ["nash_mtl", "ls"])
    preset: str = "paper"
    network: str = "mtan"
    width: float = 1.0
    steps: int = 30
    frames: int = TEST
    device: str = "auto"
    source: str = "auto"
    variants: int = len(VARIANTS)


def measured(options: Options, overrides: list[str]) -> tuple[float, str]:
    """Seconds of an epoch with the trainer's ``overrides``, and the cells of its row."""
    with initialize_config_dir(str(CONFIGS / "nyuv2"), version_base="1.3"):
        config = checked(compose("train", overrides))
    device = prepare_device(config.run)
    frames = frames_of_run(NYUV2, config, device)
    problem = SceneProblem(NYUV2, config, frames, [1.0] * len(NYUV2.metrics), device)
    method = make_method(config, len(problem.tasks), device)
    optimizer = make_optimizer(problem.model, method, config.optimizer)
    network = cast(Network, problem.model)
    shared, heads = list(network.shared_parameters()), list(network.task_specific_parameters())
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    def step(handle: tuple[int, int, torch.Tensor]) -> None:
        losses, representation = problem.losses(handle)
        method.backward(
            losses, shared_parameters=shared, task_specific_parameters=heads, representation=representation
        )
        optimizer.step()

    batches = [b for epoch in range(1 + options.steps // 100) for b in problem.batches(epoch)]
    batches = [b for b in batches if len(b[2]) == config.trainer.batch_size][: options.steps + WARM_UP]
    times = [seconds(partial(step, b), device) for b in batches][WARM_UP:]
    data = [seconds(partial(problem.batch, b), device) for b in batches][WARM_UP:]
    problem.model.eval()
    with torch.no_grad():
        problem.evaluate("test")  # compiles where that is asked for
        evaluation = seconds(lambda: problem.evaluate("test"), device) * TEST / len(frames.test)
    one = statistics.median(times)
    epoch = one * -(-TRAIN // config.trainer.batch_size) + evaluation
    memory = f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f}" if device.type == "cuda" else "–"
    share = statistics.median(data) / one
    run = epoch * config.trainer.epochs / 60
    return epoch, f"{1000 * one:.1f} | {share:.1%} | {evaluation:.1f} | {epoch:.1f} | {run:.1f} | {memory}"


@exits_cleanly
def main() -> None:
    options = parse_options(Options, description=__doc__)
    network = [f"preset={options.preset}", f"model.network={options.network}", f"model.width={options.width}"]
    here = [f"run.device={options.device}", f"data.source={options.source}", f"data.test={options.frames}"]
    rows, commands = [], []
    for name in options.methods:
        fastest, best = [f"method={name}", *network], float("inf")
        for label, added in VARIANTS[: options.variants]:
            if name == "ls" and "gradients" in label:
                continue
            try:
                epoch, cells = measured(options, [*fastest, *added, *here])
                if epoch < best:
                    fastest, best = [*fastest, *added], epoch
            except Exception as error:  # one option that a machine lacks must not cost the others' rows
                cells = f"{type(error).__name__}: {str(error).splitlines()[0][:80]} | – | – | – | – | –"
            rows.append(f"| {name} | {label} | {cells} |")
            print(rows[-1], flush=True)
        commands.append(f"python -m experiments.nyuv2.train {' '.join(fastest)}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"\n{gpu}, torch {torch.__version__}, median of {options.steps} steps\n")
    print("| method | with | step, ms | waiting for data | evaluation, s | epoch, s | run, min | memory, GiB |")
    print("|---|---|---|---|---|---|---|---|", *rows, sep="\n")
    print("\nFastest:", *commands, sep="\n")


if __name__ == "__main__":
    main()

"""Run records: one folder a run, whose ``record.json`` says all there is to say about it.

A record holds the configuration, seed, versions, commit, device, data provenance, every metric of every
epoch, the task weights' history and the wall time. It is rewritten atomically after each epoch, so that what lies
on the disk is always a whole record of a finished or a running run. See ``docs/records.md`` for the fields.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.common.claims import claim as claim  # a record's other half: who may write it
from experiments.common.errors import UserError
from experiments.common.files import write_json

if TYPE_CHECKING:
    import torch  # heavy: what only reads records starts at once

FORMAT = 1
RECORD = "record.json"
PLANS = "sweeps"  # folder of a sweep's plan, beside its runs

#: Parts of a configuration that do not change a run's numbers, and so not its identity.
_NOT_IDENTITY = ("run", "logger", "search")
#: Single settings of other parts, likewise; as the number of threads, ``fused`` changes the last digits at most.
_NOT_IDENTITY_EITHER = {"data": ("root",), "optimizer": ("fused",)}
#: Parts in which the rows of one table may differ.
_NOT_PROTOCOL = (*_NOT_IDENTITY, "agent", "method", "seed")

#: What every record says of its run, with the types.
_FIELDS: dict[str, type] = {
    "benchmark": str,
    "name": str,
    "status": str,
    "method": dict,
    "seed": int,
    "protocol": str,
    "config": dict,
    "data": dict,
}

_PACKAGES = (
    *("torch", "torch-geometric", "torchvision", "numpy", "scipy", "cvxpy", "hydra-core"),
    *("qm9pack", "metaworld", "mujoco"),
)


def digest(value: Any) -> str:
    """Eight hexadecimal digits that identify a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def run_name(config: Mapping[str, Any]) -> str:
    """A run's folder name: agent where there is one, method, task of a single-task run, seed, and a digest."""
    method = config["method"]
    agent = f"{config['agent']['name']}-" if "agent" in config else ""
    task = f"-task{method['main_task']}" if method.get("main_task") is not None else ""
    return f"{agent}{method['name']}{task}-seed{config['seed']}-{digest(identity(config))}"


def protocol_digest(config: Mapping[str, Any]) -> str:
    """Equal for runs whose results may share a table: all but agent, method and seed is the same."""
    return digest(_without(config, _NOT_PROTOCOL))


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that changes a run's numbers."""
    return _without(config, _NOT_IDENTITY)


def changes_identity(key: str) -> bool:
    """Whether an override of this key (``optimizer.lr``, or a group's name) may give another run."""
    part, _, name = key.lstrip("+").partition(".")
    return part not in _NOT_IDENTITY and name not in _NOT_IDENTITY_EITHER.get(part, ())


def _without(config: Mapping[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in parts}
    for part, settings in _NOT_IDENTITY_EITHER.items():
        if part in kept:
            kept[part] = {key: value for key, value in kept[part].items() if key not in settings}
    return kept


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, commit and hardware of this process."""
    import torch

    from experiments.common import parallel

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": _cpu_name(),
        "threads": torch.get_num_threads(),
        "processes": parallel.size(),
    }


def begin_record(
    folder: Path,
    config: dict[str, Any],
    device: torch.device,
    data: dict[str, Any],
    reference: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The record of a run that is about to start, or to go on, in ``folder``.

    ``data``: its provenance. ``reference``: the single-task values of Δm by metric. Of a run that goes on, the time
    of its start and the environments that it has left stay in the record. Raises :class:`UserError` if the data is
    not what the run began with.
    """
    record = _new_record(config, device, data, reference)
    begun = read_record(folder)
    if begun is None:
        return record
    if begun["data"] != json.loads(json.dumps(data)):
        changed = sorted(key for key in {*begun["data"], *data} if begun["data"].get(key) != data.get(key))
        raise UserError(
            f"run {record['name']} began with other data ({', '.join(changed)} differs); bring that back, or delete "
            f"{folder} to start anew."
        )
    left = list(begun.get("earlier_environments", []))
    if begun["environment"] != record["environment"]:
        left.append(begun["environment"])
    return record | {"started": begun["started"], "earlier_environments": left}


def _new_record(
    config: dict[str, Any], device: torch.device, data: dict[str, Any], reference: Mapping[str, float] | None
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "benchmark": config["benchmark"],
        "name": run_name(config),
        "status": "running",
        "method": config["method"],
        "seed": config["seed"],
        "protocol": protocol_digest(config),
        "config": config,
        "environment": environment(device),
        "earlier_environments": [],
        "data": data,
        "reference": reference,
        "started": now(),
        "finished": None,
        "wall_seconds": 0.0,
        "epochs": [],
        "best_epoch": None,
        "results": None,
    }


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``folder/record.json`` atomically; raises :class:`UserError` if the disk does not take it."""
    try:
        write_json(folder / RECORD, record)
    except OSError as error:
        raise UserError(
            f"cannot write {folder / RECORD}: {error.strerror}; free space or choose run.root."
        ) from error


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record in a run folder, or ``None`` where there is none; raises :class:`UserError` if it is damaged."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; make it readable or delete its folder.") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a run record ({error}); delete its folder and run again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or "benchmark" not in record:
        raise UserError(f"{path} has an unknown record format; it needs format {FORMAT}.")
    check_record(path, record)
    if not isinstance(record.get("epochs"), list):
        raise damaged(path, "its epochs are missing")
    for number, entry in enumerate(record["epochs"]):
        _check_entry(path, number, entry)
    return record


def check_record(path: Path, record: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` where a record, with or without its epochs, does not say what its run is."""
    for name, kind in _FIELDS.items():
        if not isinstance(record.get(name), kind):
            raise damaged(path, f"{name!r} is missing or not a {kind.__name__}")
    if not isinstance(record["method"].get("name"), str):
        raise damaged(path, "'method' has no name")
    parts = {name: value for name, value in record["config"].items() if name in _NOT_IDENTITY_EITHER}
    for name, value in {**parts, "environment": record.get("environment") or {}}.items():
        if not isinstance(value, dict):
            raise damaged(path, f"{name!r} is not a dict")
    if record["status"] == "finished":
        _check_results(path, record.get("results"))


def _check_results(path: Path, results: Any) -> None:
    metrics = results.get("metrics") if isinstance(results, dict) else None
    if not isinstance(metrics, dict) or not metrics:
        raise damaged(path, "it is finished but has no results")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise damaged(path, f"the result {name} is {value!r}, not a finite number")


def _check_entry(path: Path, number: int, entry: Any) -> None:
    """Raise :class:`UserError` for an epoch whose numbers are none."""
    if not isinstance(entry, dict):
        raise damaged(path, f"epoch {number} is not a dict")
    for name in ("train_losses", "weights", "validation", "test"):
        if not isinstance(values := entry.get(name) or {}, dict):
            raise damaged(path, f"{name!r} of epoch {number} is not a dict")
        if name == "test" and not all(isinstance(value, int | float | None) for value in values.values()):
            raise damaged(path, f"'test' of epoch {number} has a value that is no number")


def damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is not a whole run record: {what}; delete its folder and run again.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number that a record may hold")


def find_records(root: Path, benchmark: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All records of a benchmark below ``root``, ordered by path."""
    for path in sorted(root.rglob(RECORD)):
        record = read_record(path.parent)
        if record is not None and record["benchmark"] == benchmark:
            yield path.parent, record


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", os.fspath(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.processor()

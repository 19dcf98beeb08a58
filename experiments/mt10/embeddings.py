"""Fixed embeddings of task descriptions for CARE: computed offline from our own texts, or read from a user's file.

mtrl ships RoBERTa embeddings of its own descriptions, whose ten vectors are nearly alike (cosines from 0.9988). Ours
are TF-IDF vectors of words and character n-grams, hashed into a fixed number of non-negative entries: deterministic,
without a language model, and distinct (the largest cosine is that of window-open and window-close).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.mt10.task_descriptions import TASK_DESCRIPTIONS

#: The size of mtrl's embeddings.
EMBEDDING_SIZE = 768
_CHARACTERS = (3, 4, 5)  # lengths of the character n-grams
_SUFFIXES = ("", "-v1", "-v2", "-v3")  # under which a file may know a task; mtrl's has -v1


def task_embeddings(tasks: Sequence[str] | None, n_tasks: int, path: str | None = None) -> Tensor:
    """The embeddings [K, D] of tasks in their order, float32; D is 768 or the file's.

    ``tasks``: names; ``None`` stands for the ten of MT10 and is an error if there are not ten. ``path``: a JSON file
    in mtrl's format, an object from task names (``reach-v1``; a version may be missing) to lists of numbers of one
    length. A task that we have no description of is described by its name.

    Raises :class:`UserError` for a file that cannot be read, lacks a task or holds anything but finite numbers.
    """
    names = list(TASK_DESCRIPTIONS) if tasks is None else list(tasks)
    if len(names) != n_tasks:
        raise UserError(f"CARE needs the names of the {n_tasks} tasks to embed; got {len(names)}.")
    if path is not None:
        return _from_file(Path(path), names)
    texts = [TASK_DESCRIPTIONS.get(name, name.replace("-", " ")) for name in names]
    return torch.stack([embed(text) for text in texts])


def embed(text: str, size: int = EMBEDDING_SIZE) -> Tensor:
    """A text's hashed TF-IDF vector ``[size]``, float32, non-negative, of length √size.

    Inverse document frequencies are those of the ten descriptions, whichever text is embedded.
    """
    frequencies = _document_frequencies()
    documents = len(TASK_DESCRIPTIONS)
    vector = [0.0] * size
    for term, occurrences in _terms(text).items():
        rarity = math.log((1 + documents) / (1 + frequencies[term])) + 1.0
        vector[_bucket(term, size)] += (1.0 + math.log(occurrences)) * rarity
    result = torch.tensor(vector, dtype=torch.float64)
    return (result * math.sqrt(size) / result.norm()).float()


def _terms(text: str) -> Counter[str]:
    """Words (marked ``w:``) and character n-grams within words (``c:``), with their numbers."""
    terms: Counter[str] = Counter()
    for word in re.findall(r"\w+", text.lower()):
        terms[f"w:{word}"] += 1
        padded = f" {word} "
        for length in _CHARACTERS:
            terms.update(f"c:{padded[i : i + length]}" for i in range(len(padded) - length + 1))
    return terms


def _document_frequencies() -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in TASK_DESCRIPTIONS.values():
        counts.update(set(_terms(text)))
    return counts


def _bucket(term: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big") % size


def _from_file(path: Path, names: Sequence[str]) -> Tensor:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the task embeddings in {path} cannot be read ({reason}); give a JSON file.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; expected an object from task names to numbers.")
    rows = []
    for name in names:
        found = next((content[name + suffix] for suffix in _SUFFIXES if name + suffix in content), None)
        if found is None:
            known = ", ".join(sorted(content)[:12]) or "none"
            raise UserError(f"{path} has no embedding of task {name!r} (looked for {name}-v1 too); it has {known}.")
        if not isinstance(found, list) or not found or not all(_is_number(value) for value in found):
            raise UserError(f"{path}: the embedding of task {name!r} is not a list of finite numbers.")
        rows.append([float(value) for value in found])
    lengths = {name: len(row) for name, row in zip(names, rows, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UserError(f"{path}: the embeddings differ in length ({listed}); expected one length for all.")
    return torch.tensor(rows, dtype=torch.float32)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

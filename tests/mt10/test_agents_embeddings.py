"""CARE's task embeddings: deterministic, distinct, and a user's file in their place."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.common.errors import UserError
from experiments.mt10.embeddings import EMBEDDING_SIZE, embed, task_embeddings
from experiments.mt10.task_descriptions import TASK_DESCRIPTIONS
from experiments.mt10.tasks import TASKS as MT10

TASKS = ("reach", "push")


def test_every_task_of_mt10_is_described() -> None:
    assert tuple(TASK_DESCRIPTIONS) == tuple(MT10)


def test_vectors_are_non_negative_of_one_length_and_distinct() -> None:
    vectors = task_embeddings(None, 10)
    assert vectors.shape == (10, EMBEDDING_SIZE)
    assert (vectors >= 0).all()
    assert torch.allclose(vectors.norm(dim=1), torch.full((10,), math.sqrt(EMBEDDING_SIZE)))
    cosines = vectors @ vectors.T / EMBEDDING_SIZE - torch.eye(10)
    windows = list(TASK_DESCRIPTIONS).index("window-open"), list(TASK_DESCRIPTIONS).index("window-close")
    assert cosines.max() == cosines[windows]
    assert cosines.max() < 0.95


def test_the_same_numbers_everywhere() -> None:
    """A golden value: an embedding that changed would silently be another agent."""
    vector = embed("Press the red button.")
    entries = vector.nonzero().flatten()
    assert len(entries) == 40
    assert int(vector.argmax()) == 608
    assert float(vector.max()) == pytest.approx(8.709644317626953, rel=1e-6)
    assert torch.equal(vector, embed("press   THE red button"))


def test_a_tasks_vector_does_not_depend_on_the_others() -> None:
    assert torch.equal(task_embeddings(TASKS, 2)[1], task_embeddings(None, 10)[1])
    assert torch.equal(task_embeddings(("push", "reach"), 2)[0], task_embeddings(TASKS, 2)[1])


def test_an_undescribed_task_is_described_by_its_name() -> None:
    assert torch.equal(task_embeddings(("turn-faucet",), 1)[0], embed("turn faucet"))


def test_names_are_needed_for_other_numbers_of_tasks() -> None:
    with pytest.raises(UserError, match="names of the 3 tasks to embed; got 10"):
        task_embeddings(None, 3)


def write(folder: Path, content: Any) -> str:
    path = folder / "embeddings.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.parametrize("suffix", ["", "-v1", "-v3"])
def test_a_users_file(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, {f"push{suffix}": [1, 2.5, -3], f"reach{suffix}": [0, 0, 1], "other": [1]})
    assert task_embeddings(TASKS, 2, path).tolist() == [[0, 0, 1], [1, 2.5, -3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ([1, 2], "holds a list; expected an object"),
        ({"reach": [1.0]}, "no embedding of task 'push' .*it has reach"),
        ({"reach": [1.0], "push": "text"}, "'push' is not a list of finite numbers"),
        ({"reach": [], "push": [1.0]}, "'reach' is not a list of finite numbers"),
        ({"reach": [1.0], "push": [True]}, "'push' is not a list"),
        ('{"reach": [1.0], "push": [NaN]}', "'push' is not a list of finite numbers"),
        ({"reach": [1.0, 2.0], "push": [1.0]}, "differ in length .reach 2, push 1"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        task_embeddings(TASKS, 2, write(tmp_path, content))
    assert "\n" not in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        task_embeddings(TASKS, 2, str(tmp_path / "none.json"))

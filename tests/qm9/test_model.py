"""The dense network against PyTorch Geometric's layers: one function, one set of parameters, one set of gradients."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import NNConv

from experiments.qm9.batches import Batch, DenseMolecules
from experiments.qm9.graphs import graph_batch
from experiments.qm9.messages import Group, hidden_edges, pass_messages
from experiments.qm9.metrics import COLUMNS, TARGETS
from experiments.qm9.model import DenseNetwork
from experiments.qm9.molecules import Molecules
from experiments.qm9.reference import ReferenceNetwork
from methods.gradients import compute_task_gradients
from tests.networks import parameter_count

K = len(TARGETS)
PADDING = [None, 1, 3, 40]  # exact sizes; one, several, and more groups than molecules


@pytest.fixture(scope="module")
def chosen(store: Molecules) -> Tensor:
    """Ten molecules: the smallest and the largest of the store, two of one size, the others in between."""
    order = store.size.argsort(stable=True)
    picked = order[torch.linspace(0, len(order) - 1, 9).long()]
    twin = next(int(m) for m in order if store.size[m] == store.size[picked[4]] and int(m) not in picked)
    picked = torch.cat([picked, torch.tensor([twin])])
    assert store.size[picked].min() == 3 and store.size[picked].max() == store.size.max()
    return picked


@pytest.fixture(scope="module")
def dense(store: Molecules) -> DenseMolecules:
    targets = store.targets[:, COLUMNS].double()
    standardised = (targets - targets.mean(0)) / targets.std(0)
    return DenseMolecules.from_molecules(store, standardised.float(), "cpu")


def double(batch: Batch) -> Batch:
    """The same batch with float64 numbers; distances keep the digits that they were computed with."""
    return Batch(
        features=batch.features.double(),
        groups=[Group(group.edges.double()) for group in batch.groups],
        targets=batch.targets.double(),
        padding=batch.padding.double(),
    )


def networks(dim: int, hidden: int, dtype: torch.dtype) -> tuple[DenseNetwork, ReferenceNetwork]:
    torch.manual_seed(1)
    reference = ReferenceNetwork(K, dim, hidden)
    torch.manual_seed(2)
    ours = DenseNetwork(K, dim, hidden)
    ours.load_state_dict(reference.state_dict())
    return ours.to(dtype), reference.to(dtype)


def evaluate(network: nn.Module, data: object, targets: Tensor, strategy: str = "loop") -> dict[str, Tensor]:
    """Outputs, representation, every task's gradient of each shared parameter, and the heads' gradients."""
    outputs, representation = network(data)
    losses = list((outputs - targets).square().mean(0))
    names = [name for name, _ in network.named_parameters()]
    parameters = list(network.parameters())
    gradients = compute_task_gradients(losses, parameters, strategy=strategy).per_tensor
    found = dict(zip(names, gradients, strict=True))
    assert all(gradient is not None and gradient.shape[0] == K for gradient in gradients)
    return {"outputs": outputs.detach(), "representation": representation.detach(), **found}


def assert_agree(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Relative to the largest entry of each tensor, and of each task's part of a gradient."""
    assert found.keys() == expected.keys()
    for name in expected:
        ours, theirs = found[name].double().flatten(1), expected[name].double().flatten(1)
        if name in ("outputs", "representation"):
            error, size = (ours - theirs).abs().max(), theirs.abs().max()
            assert error <= tolerance * size, (name, float(error / size))
        else:
            error, size = (ours - theirs).norm(dim=1), theirs.norm(dim=1)
            assert (error <= tolerance * size).all(), (name, (error / size).tolist())


def in_batch_order(store: Molecules, chosen: Tensor) -> Tensor:
    """The order that a dense batch sorts its molecules into."""
    return chosen[store.size[chosen].argsort(stable=True)]


@pytest.fixture(scope="module")
def full_size(store: Molecules, dense: DenseMolecules, chosen: Tensor) -> tuple[DenseNetwork, dict[str, Tensor]]:
    """Our network at the paper's size, and what the reference makes of the same parameters and molecules."""
    ours, reference = networks(64, 128, torch.float32)
    order = in_batch_order(store, chosen)
    return ours, evaluate(reference, graph_batch(store, order), dense.targets[order])


@pytest.mark.parametrize("groups", PADDING)
def test_full_size_outputs_and_task_gradients_agree(
    dense: DenseMolecules, chosen: Tensor, full_size: tuple[DenseNetwork, dict[str, Tensor]], groups: int | None
) -> None:
    ours, expected = full_size
    batch = dense.batch(chosen, groups)
    assert_agree(evaluate(ours, batch, batch.targets), expected, 1e-5)


@pytest.mark.parametrize("groups", PADDING)
@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_float64_outputs_and_task_gradients_agree(
    store: Molecules, dense: DenseMolecules, chosen: Tensor, groups: int | None, strategy: str
) -> None:
    ours, reference = networks(12, 10, torch.float64)
    batch = double(dense.batch(chosen, groups))
    graphs = graph_batch(store, in_batch_order(store, chosen))
    graphs.x, graphs.edge_attr = graphs.x.double(), graphs.edge_attr.double()
    # Both see the distances of the dense batch, whose float32 factor 1/(n − 1) is undone here.
    graphs.edge_attr = dense_edge_attributes(batch, store.size[in_batch_order(store, chosen)])
    expected = evaluate(reference, graphs, batch.targets)
    # That factor is rounded to 24 bits in the dense batch alone, which bounds the agreement.
    assert_agree(evaluate(ours, exact_factors(batch), batch.targets, strategy), expected, 1e-10)


def exact_factors(batch: Batch) -> Batch:
    """The batch with channels times 1/(number of neighbours) as float64 gives it."""
    groups = []
    for group in batch.groups:
        factor = group.edges[..., -1]
        neighbours = torch.where(factor > 0, (1 / factor.clamp(min=1e-9)).round(), torch.inf)
        groups.append(Group(group.edges / factor.clamp(min=1e-9)[..., None] / neighbours[..., None]))
    return dataclasses.replace(batch, groups=groups)


def dense_edge_attributes(batch: Batch, size: Tensor) -> Tensor:
    """Bond one-hot and distance of every edge in the row order of complete graphs, from the dense batch."""
    rows, molecule = [], 0
    for group in exact_factors(batch).groups:
        for edges in group.edges:
            n = int(size[molecule])
            pairs = ~torch.eye(n, dtype=torch.bool)
            rows.append((edges[:n, :n] * (n - 1))[pairs][:, :-1])
            molecule += 1
    return torch.cat(rows)


def test_full_size_batched_gradients_agree(
    dense: DenseMolecules, chosen: Tensor, full_size: tuple[DenseNetwork, dict[str, Tensor]]
) -> None:
    ours, expected = full_size
    batch = dense.batch(chosen, 3)
    assert_agree(evaluate(ours, batch, batch.targets, "batched"), expected, 1e-5)


@pytest.mark.parametrize("identity", [3, 1, 214])  # water, methane, benzene
def test_a_batch_of_one_molecule(store: Molecules, dense: DenseMolecules, identity: int) -> None:
    ours, reference = networks(16, 16, torch.float32)
    one = torch.tensor([store.identity.tolist().index(identity)])
    for groups in (None, 1, 4):
        batch = dense.batch(one, groups)
        expected = evaluate(reference, graph_batch(store, one), batch.targets)
        assert_agree(evaluate(ours, batch, batch.targets), expected, 1e-5)


def test_state_moves_both_ways() -> None:
    ours, reference = DenseNetwork(K, 16, 8), ReferenceNetwork(K, 16, 8)
    for source, target in ((ours, reference), (reference, ours)):
        assert list(source.state_dict()) == list(target.state_dict())
        target.load_state_dict(source.state_dict())
        assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


def test_the_seed_alone_sets_the_initial_parameters() -> None:
    def initial(network: type[DenseNetwork], seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return network(K, 16, 8).state_dict()

    ours, again, reference, other = (
        initial(DenseNetwork, 5),
        initial(DenseNetwork, 5),
        initial(ReferenceNetwork, 5),
        initial(DenseNetwork, 6),
    )
    for name, value in ours.items():
        assert torch.equal(value, again[name]) and torch.equal(value, reference[name])
    assert not torch.equal(ours["lin0.weight"], other["lin0.weight"])


def test_initial_parameters_are_distributed_as_pytorch_geometrics() -> None:
    torch.manual_seed(5)
    ours = DenseNetwork(K, 16, 8)
    torch.manual_seed(5)
    torch.nn.Linear(11, 16)
    edges = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 256))
    layer = NNConv(16, 16, edges, aggr="mean")
    drawn = layer.nn.state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in ours.conv.nn.state_dict().items())
    assert 0.9 / 4 < ours.conv.lin.weight.abs().max() < 1 / 4 and not ours.conv.bias.any()


def test_training_does_without_pytorch_geometric() -> None:
    command = "import sys, experiments.qm9.train; sys.exit('torch_geometric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0


def test_parameter_counts_are_the_papers() -> None:
    network = DenseNetwork(K)
    assert parameter_count(network.shared_parameters()) == 616_960
    assert parameter_count(network.task_specific_parameters()) == 11 * 65
    assert parameter_count(network.last_shared_parameters()) == 128 * 64 + 64
    everything = [*network.shared_parameters(), *network.task_specific_parameters()]
    assert {id(p) for p in everything} == {id(p) for p in network.parameters()}
    assert len(everything) == len(list(network.parameters()))


# --- messages -----------------------------------------------------------------------------------------------


def message_inputs(seed: int) -> tuple[Tensor, Tensor, Tensor, list[Group]]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    groups = [Group(normal(2, 3, 3, 4)), Group(normal(1, 2, 2, 4))]
    return normal(8, 3), normal(5, 4), normal(3, 15), groups


def plain_messages(state: Tensor, weight: Tensor, matrices: Tensor, groups: list[Group]) -> Tensor:
    """Σⱼ Σₖ rᵢⱼₖ (hⱼᵀ Aₖ), one edge at a time."""
    rows, start = [], 0
    blocks = matrices.view(3, 5, 3)  # [D, H, D]
    for group in groups:
        for edges in group.edges:
            own = state[start : start + group.atoms]
            start += group.atoms
            for i in range(group.atoms):
                rows.append(
                    sum(
                        torch.einsum("d,h,dhe->e", own[j], (weight @ edges[i, j]).relu(), blocks)
                        for j in range(group.atoms)
                    )
                )
    return torch.stack(rows)


def test_messages_and_their_gradients_are_those_of_the_plain_sum() -> None:
    state, weight, matrices, groups = message_inputs(0)
    inputs = [tensor.requires_grad_() for tensor in (state, weight, matrices)]
    expected = plain_messages(*inputs, groups)
    found = pass_messages(*inputs, groups, hidden_edges(groups, weight))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, cotangent), torch.autograd.grad(expected, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_message_gradients_pass_gradcheck() -> None:
    state, weight, matrices, groups = message_inputs(3)
    inputs = tuple(tensor.requires_grad_() for tensor in (state, weight, matrices))

    def function(state: Tensor, weight: Tensor, matrices: Tensor) -> Tensor:
        return pass_messages(state, weight, matrices, groups, hidden_edges(groups, weight))

    assert torch.autograd.gradcheck(function, inputs)


def test_second_derivatives_are_refused() -> None:
    state, weight, matrices, groups = message_inputs(0)
    state.requires_grad_()
    messages = pass_messages(state, weight, matrices, groups, hidden_edges(groups, weight))
    (gradient,) = torch.autograd.grad(messages.square().sum(), state, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        gradient.sum().backward()


# --- symmetries ---------------------------------------------------------------------------------------------


def outputs(network: DenseNetwork, dense: DenseMolecules, indices: Tensor, groups: int | None) -> dict[int, Tensor]:
    """Each molecule's outputs, by its index."""
    order = indices[dense.size[indices].argsort(stable=True)]
    with torch.no_grad():
        return dict(zip(order.tolist(), network(dense.batch(indices, groups))[0], strict=True))


@pytest.mark.parametrize("groups", PADDING)
def test_a_molecules_outputs_do_not_depend_on_its_batch(
    dense: DenseMolecules, chosen: Tensor, groups: int | None
) -> None:
    network, _ = networks(16, 16, torch.float32)
    together = outputs(network, dense, chosen, groups)
    shuffled = outputs(network, dense, chosen.flip(0), groups)
    for m in chosen.tolist():
        alone = outputs(network, dense, torch.tensor([m]), groups)[m]
        torch.testing.assert_close(together[m], alone, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(together[m], shuffled[m], rtol=1e-5, atol=1e-5)
    spread = torch.stack(list(together.values())).std(0)
    assert (spread > 1e-3).all(), "the molecules' outputs differ, so that a mix-up would show"


@pytest.mark.parametrize("change", ["order of atoms", "rotation and translation"])
def test_outputs_do_not_depend_on_how_a_molecule_is_written_down(
    dense: DenseMolecules, chosen: Tensor, change: str
) -> None:
    network, _ = networks(16, 16, torch.float32)
    generator = torch.Generator().manual_seed(0)
    changed = [tensor.clone() for tensor in (dense.features, dense.position, dense.bond)]
    features, position, bond = changed
    for m in chosen.tolist():
        n = int(dense.size[m])
        if change == "order of atoms":
            order = torch.randperm(n, generator=generator)
            features[m, :n], position[m, :n] = features[m, order], position[m, order]
            bond[m, :n, :n] = bond[m][order][:, order]
        else:
            rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
            moved = position[m, :n].double() @ rotation.T + torch.randn(3, generator=generator)
            position[m, :n] = moved.float()
    other = dataclasses.replace(dense, features=features, position=position, bond=bond)
    expected, found = (outputs(network, data, chosen, None) for data in (dense, other))
    for m in chosen.tolist():
        torch.testing.assert_close(found[m], expected[m], rtol=1e-4, atol=1e-4)


def test_outputs_do_depend_on_distances_and_bonds(dense: DenseMolecules, chosen: Tensor) -> None:
    network, _ = networks(16, 16, torch.float32)
    expected = outputs(network, dense, chosen, None)
    stretched = outputs(network, dataclasses.replace(dense, position=dense.position * 1.1), chosen, None)
    unbonded = outputs(network, dataclasses.replace(dense, bond=torch.zeros_like(dense.bond)), chosen, None)
    for m in chosen.tolist():
        assert (expected[m] - stretched[m]).abs().max() > 1e-4
        assert (expected[m] - unbonded[m]).abs().max() > 1e-4

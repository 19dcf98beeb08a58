"""SegNet and MTAN: shapes, parameter counts of the released code, unpooling, and which task reaches what."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.frames import Batch
from experiments.scenes.losses import task_losses
from experiments.scenes.model import NETWORKS, make_network
from experiments.scenes.mtan import MTAN
from experiments.scenes.segnet import TASKS, SegNet, unit_vectors
from methods import get_method
from methods.gradients import compute_task_gradients
from tests.networks import parameter_count

WIDTH = 0.05
SIZE = (32, 64)
Network = SegNet | MTAN


def channels(tasks: Sequence[str] = TASKS) -> dict[str, int]:
    return {task: NYUV2.channels[task] for task in tasks}


def small(network: str, tasks: Sequence[str] = TASKS, **options: object) -> Network:
    torch.manual_seed(0)
    return make_network(network, channels(tasks), width=WIDTH, **options)


def images(number: int = 2, seed: int = 1) -> Tensor:
    return torch.rand(number, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def batch(number: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(-1, 13, (number, *SIZE), generator=generator)
    depth = 1 + torch.rand(number, 1, *SIZE, generator=generator)
    normals = F.normalize(torch.randn(number, 3, *SIZE, generator=generator), dim=1)
    return Batch(images(number), labels, depth, normals)


def reached(network: Network, task: str) -> set[str]:
    """Names of the parameters that a task's loss depends on."""
    predictions, _ = network(images())
    loss = task_losses(predictions, batch(), network.tasks)[network.tasks.index(task)]
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


@pytest.mark.parametrize(
    ("network", "options", "total", "shared", "specific", "last"),
    [
        ("segnet", {}, 25_055_185, 24_943_296, 111_889, 37_056),
        ("mtan", {}, 44_229_073, 44_117_184, 111_889, 0),
        ("mtan", {"attention": "task_specific"}, 44_229_073, 35_163_456, 9_065_617, 0),
        ("segnet", {"tasks": ["depth"]}, 24_980_289, 24_943_296, 36_993, 37_056),
    ],
)
def test_parameter_counts(
    network: str, options: dict[str, object], total: int, shared: int, specific: int, last: int
) -> None:
    options = dict(options)
    outputs = channels(options.pop("tasks", TASKS))
    with torch.device("meta"):
        model = make_network(network, outputs, **options)
    assert parameter_count(model.parameters()) == total
    assert parameter_count(model.shared_parameters()) == shared
    assert parameter_count(model.task_specific_parameters()) == specific
    assert parameter_count(model.last_shared_parameters()) == last


@pytest.mark.parametrize(("network", "total"), [("segnet", 25_017_672), ("mtan", 41_206_984)])
def test_parameter_counts_of_two_tasks(network: str, total: int) -> None:
    """Trunk 24,943,296; attention's convolutions 10,220,160, 2,984,576 gates a task; heads 37,383 and 36,993."""
    with torch.device("meta"):
        model = make_network(network, CITYSCAPES.channels)
    assert parameter_count(model.parameters()) == total
    assert parameter_count(model.heads.parameters()) == 37_383 + 36_993


def test_parameter_counts_of_attention() -> None:
    with torch.device("meta"):
        model = MTAN(channels())
    gates = [parameter_count(model.gates[task].parameters()) for task in TASKS]
    convolutions = [model.encoder_convolutions, model.decoder_convolutions]
    assert gates == [2_984_576] * 3
    assert sum(gates) + sum(parameter_count(m.parameters()) for m in convolutions) == 19_173_888
    assert parameter_count(model.trunk.parameters()) == 24_943_296


@pytest.mark.parametrize("attention", ["shared", "task_specific"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_parameter_is_shared_or_task_specific(network: str, attention: str) -> None:
    model = small(network, attention=attention)
    listed = [*model.shared_parameters(), *model.task_specific_parameters()]
    assert len(listed) == len(set(listed)) == len(list(model.parameters()))
    assert set(listed) == set(model.parameters())
    assert set(model.last_shared_parameters()) <= set(model.shared_parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes_at_the_paper_size(network: str) -> None:
    with torch.device("meta"):
        predictions, representation = make_network(network, channels())(torch.empty(2, 3, 288, 384))
    assert [tuple(p.shape) for p in predictions] == [(2, c, 288, 384) for c in (13, 1, 3)]
    number = 3 if network == "mtan" else 1
    assert [tuple(r.shape) for r in representation] == [(2, 64, 288, 384)] * number


@pytest.mark.parametrize("network", NETWORKS)
def test_values(network: str) -> None:
    (logits, depth, normals), representation = small(network)(images())
    assert all(tensor.isfinite().all() for tensor in (logits, depth, normals, *representation))
    assert ((normals.norm(dim=1) - 1).abs() < 0.01).all()  # but for features near zero, far closer
    assert logits.shape[2:] == SIZE and depth.shape == (2, 1, *SIZE)


@pytest.mark.parametrize("network", NETWORKS)
def test_representation_is_what_the_heads_read(network: str) -> None:
    model = small(network)
    predictions, representation = model(images())
    features = representation if network == "mtan" else representation * 3
    for task, prediction, x in zip(TASKS, predictions, features, strict=True):
        assert torch.equal(model.predict(task, x), prediction)


def test_width_scales_the_filters() -> None:
    assert SegNet(channels(), width=0.25).filters == [16, 32, 64, 128, 128]
    assert SegNet(channels(), width=0.001).filters == [1] * 5
    assert SegNet(channels(), width=0.5)(images(1))[1][0].shape == (1, 32, *SIZE)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("task", TASKS)
def test_single_task(network: str, task: str) -> None:
    model = small(network, tasks=[task])
    predictions, representation = model(images())
    assert len(predictions) == len(representation) == 1
    [loss] = task_losses(predictions, batch(), model.tasks)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("task", TASKS)
def test_segnet_task_reaches_the_trunk_and_its_head(task: str) -> None:
    model = small("segnet")
    assert reached(model, task) == {
        name for name, _ in model.named_parameters() if not name.startswith("heads") or task in name
    }


@pytest.mark.parametrize("task", TASKS)
def test_mtan_task_reaches_only_its_own_attention(task: str) -> None:
    model = small("mtan")
    own = ("heads", "gates")
    assert reached(model, task) == {
        name for name, _ in model.named_parameters() if not name.startswith(own) or f".{task}." in name
    }


@pytest.mark.parametrize("network", NETWORKS)
def test_vectorised_task_gradients_agree(network: str) -> None:
    model = small(network).double()
    predictions, _ = model(images().double())
    losses = task_losses(predictions, batch())
    shared = list(model.shared_parameters())
    loop = compute_task_gradients(losses, shared, strategy="loop", retain_graph=True).per_tensor
    batched = compute_task_gradients(losses, shared, strategy="batched").per_tensor
    for one, other in zip(loop, batched, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("attention", ["shared", "task_specific"])
@pytest.mark.parametrize("network", NETWORKS)
def test_nash_mtl_step_fills_every_gradient(network: str, attention: str) -> None:
    model = small(network, attention=attention)
    predictions, representation = model(images())
    step = get_method("nash_mtl", 3).backward(
        task_losses(predictions, batch()),
        shared_parameters=model.shared_parameters(),
        task_specific_parameters=model.task_specific_parameters(),
        representation=representation,
    )
    assert step.weights is not None and (step.weights > 0).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_two_walls_can_be_learnt(network: str) -> None:
    """A dark and a bright half of the image, each with a class, a depth and a direction of its own."""
    bright = (torch.arange(SIZE[1]) >= SIZE[1] // 2).expand(1, 1, *SIZE)
    normals = torch.where(bright, torch.eye(3)[2].view(1, 3, 1, 1), torch.eye(3)[0].view(1, 3, 1, 1))
    walls = Batch(0.2 + 0.6 * bright.expand(1, 3, *SIZE), 4 + 7 * bright[:, 0].long(), 1.0 + bright, normals)
    model, method = small(network), get_method("nash_mtl", 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(12):
        predictions, _ = model(walls.image)
        losses = task_losses(predictions, walls)
        method.backward(
            losses,
            shared_parameters=model.shared_parameters(),
            task_specific_parameters=model.task_specific_parameters(),
        )
        optimizer.step()
        history.append(torch.stack(losses).detach())
    assert (history[-1] < 0.7 * history[0]).all(), (history[0], history[-1])


def test_attention_moves_only_the_border() -> None:
    """Where the gates count changes the task gradients' parameters, not the function."""
    shared, own = small("mtan"), small("mtan", attention="task_specific")
    for one, other in zip(shared(images())[0], own(images())[0], strict=True):
        assert torch.equal(one, other)


class Remember(nn.Module):
    """Stands in for a stage: passes its input on and keeps it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen = x
        return x, x


def test_unpooling_returns_each_maximum_to_its_place() -> None:
    model = small("segnet")
    trunk = model.trunk
    trunk.encoder = nn.ModuleList(Remember() for _ in range(5))
    trunk.decoder = nn.ModuleList(Remember() for _ in range(5))
    x = torch.rand(1, 3, *SIZE) + 0.1
    result = trunk(x).decoder
    for level, stage in enumerate(reversed(trunk.encoder)):
        unpooled, filled = result[level][0], stage.seen
        kept = unpooled > 0
        # With nothing but pooling in between, what comes back is the maximum of each 32 x 32 block, and zeros.
        assert torch.equal(unpooled[kept], filled[kept])
        assert kept.sum() == 3 * (SIZE[0] // 32) * (SIZE[1] // 32)
    assert torch.equal(F.max_pool2d(result[-1][0], 32), F.max_pool2d(x, 32))


def test_decoder_unpools_with_its_own_stages_positions() -> None:
    """Each decoder stage's input is non-zero only where the encoder stage of the same size had its maxima."""
    model = small("segnet").eval()
    with torch.no_grad():
        features = model.trunk(images())
    for (_, last), (unpooled, _) in zip(features.encoder, reversed(features.decoder), strict=True):
        blocks = F.max_pool2d(last, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert unpooled.shape == last.shape and unpooled.any()
        assert not (unpooled.ne(0) & (last < blocks)).any()


@pytest.mark.parametrize("network", NETWORKS)
def test_training_moves_the_running_statistics_and_evaluation_does_not(network: str) -> None:
    model = small(network)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(images())
    moved = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    assert moved == list(before)
    model.eval()
    after = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        both, alone = model(images())[0], model(images()[:1])[0]
    assert all(torch.equal(buffer, after[name]) for name, buffer in model.named_buffers())
    for one, other in zip(both, alone, strict=True):  # no image depends on the others of its batch
        torch.testing.assert_close(one[:1], other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_channels_last_is_the_same_function(network: str) -> None:
    """In float64: in float32 the other order of sums moves maxima of max-pooling to other pixels."""
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = small(network).double().to(memory_format=layout)
        predictions, _ = model(images().double().to(memory_format=layout))
        gradients = compute_task_gradients(task_losses(predictions, batch()), list(model.shared_parameters()))
        results.append([*predictions, *gradients.per_tensor])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_autocast_keeps_normals_in_full_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        normals = small("segnet")(images())[0][2]
    assert normals.dtype == torch.float32
    assert ((normals.norm(dim=1) - 1).abs() < 0.01).all()  # but for features near zero, far closer


def test_unit_vectors_of_zero() -> None:
    x = torch.zeros(1, 3, 1, 2)
    x[..., 1] = torch.tensor([3.0, 0.0, 4.0]).view(1, 3, 1)
    x.requires_grad_()
    unit = unit_vectors(x)
    unit.sum().backward()
    torch.testing.assert_close(unit[0, :, 0].detach().T, torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.0, 0.8]]))
    assert x.grad.isfinite().all() and x.grad.abs().max() <= 1.001e4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_network("resnet", channels()), "choose one of segnet, mtan"),
        (lambda: SegNet({}), "choose from"),
        (lambda: SegNet({"colour": 3}), "choose from segmentation, depth, normals"),
        (lambda: SegNet(channels(), width=0), "positive factor"),
        (lambda: MTAN(channels(), width=WIDTH, attention="mine"), "choose one of shared, task_specific"),
        (lambda: small("segnet")(torch.rand(1, 3, 48, 64)), "divisible by 32"),
        (lambda: small("mtan")(torch.rand(1, 32, 64, 3)), r"expected \[B, 3, H, W\]"),
    ],
)
def test_errors(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from distill.losses.layer_transport import LayerTransport
from tests.distill.losses import literal

B, S, HEADS, WIDTH = 2, 4, 2, 3
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
BOTH = ("attention", "hidden")
Batch = dict[str, tuple[Tensor, Tensor]]


def batches(
    students: int, teachers: int, number: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    for _ in range(number):
        yield {
            "hidden": (
                normal(students, B, S, WIDTH).requires_grad_(),
                normal(teachers, B, S, WIDTH),
            ),
            "attention": (
                normal(students, B, HEADS, S, S).requires_grad_(),
                normal(teachers, B, HEADS, S, S),
            ),
        }


def literal_losses(
    batch: Batch, weights: dict[str, Any], terms: tuple[str, ...], padded: bool, **options: Any
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Losses of a step and the weights after it, term by term and pair by pair."""
    losses: dict[str, Tensor] = {}
    new: dict[str, list[list[float]]] = {}
    for term in terms:
        distance = literal.hidden_distance if term == "hidden" else literal.score_distance
        x, y = batch[term]
        pairs = [[distance(a, b, MASK, padded) for b in y] for a in x.unbind(0)]
        values = np.array([[pair.item() for pair in row] for row in pairs])
        flow = literal.transport(values, *weights[term])
        losses[term] = torch.stack(
            [flow[i, j] * pairs[i][j] for i, j in itertools.product(*map(range, flow.shape))]
        ).sum()
        new[term] = literal.new_weights(
            *weights[term], flow, values, options["update"], options.get("temperature", 1.0)
        )
    if options.get("joint", True) and len(terms) == 2 and options["update"] != "frozen":
        mean = [
            [(a + h) / 2 for a, h in zip(*sides, strict=True)]
            for sides in zip(new["attention"], new["hidden"], strict=True)
        ]
        new = dict.fromkeys(terms, mean)
    if options["update"] == "v2020" and options.get("second_softmax", True):
        new = {term: [literal.flattened(side) for side in pair] for term, pair in new.items()}
    return losses, {term: tuple(np.array(side) for side in pair) for term, pair in new.items()}


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


OPTIONS: list[dict[str, Any]] = [
    {"update": "current"},
    {"update": "current", "joint": False},
    {"update": "current", "terms": ("hidden",)},
    {"update": "current", "terms": ("attention",), "joint": False},
    {"update": "frozen"},
    {"update": "v2020", "temperature": 5.0},
    {"update": "v2020", "temperature": 5.0, "second_softmax": False},
    {"update": "v2020", "joint": False},
    {"update": "v2020", "terms": ("hidden",)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_steps_are_the_literal_ones(options: dict[str, Any], reduction: Any) -> None:
    students, teachers = 2, 3
    transport = LayerTransport(students, teachers, reduction=reduction, **options)
    terms = options.get("terms", BOTH)
    uniform = (np.full(students, 1 / students), np.full(teachers, 1 / teachers))
    weights = dict.fromkeys(terms, uniform)
    rest = {key: value for key, value in options.items() if key != "terms"}
    for batch in batches(students, teachers, 3):
        ours = transport(hidden=batch["hidden"], attention=batch["attention"], mask=MASK)
        slow, weights = literal_losses(batch, weights, terms, reduction == "padded", **rest)
        assert set(ours) == set(terms)
        for term in terms:
            torch.testing.assert_close(ours[term], slow[term], rtol=1e-9, atol=0)
            leaf = batch[term][0]
            gradients = [torch.autograd.grad(loss[term], leaf)[0] for loss in (ours, slow)]
            torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-11)
        seen = transport.observation()
        for term in terms:
            for side, expected in zip(("student", "teacher"), weights[term], strict=True):
                np.testing.assert_allclose(seen[term][side], expected, rtol=1e-8)


def test_each_term_trains_its_own_inputs_and_shows_in_the_total() -> None:
    (batch,) = batches(2, 3, 1)
    transport = LayerTransport(2, 3)
    losses = transport(**batch, mask=MASK)
    assert all(value > 0 for value in losses.values())
    for dropped, kept in (BOTH, BOTH[::-1]):
        weights = {dropped: 0.0, kept: 1.0}
        weighted = total({term: weights[term] * losses[term] for term in BOTH})
        assert weighted < total(losses)
        gradients = torch.autograd.grad(weighted, [batch[dropped][0], batch[kept][0]], retain_graph=True)
        assert (gradients[0] == 0).all()
        assert (gradients[1].flatten(1).norm(dim=1) > 0).all(), "a student layer learns nothing"


def test_no_gradient_reaches_the_teacher() -> None:
    (batch,) = batches(2, 3, 1)
    for _, teacher in batch.values():
        teacher.requires_grad_()
    total(LayerTransport(2, 3)(**batch, mask=MASK)).backward()
    assert all(teacher.grad is None for _, teacher in batch.values())


def lengthen(batch: Batch, value: float) -> Batch:
    def pad(x: Tensor, term: str) -> Tensor:
        sizes = (0, 0, 0, 2) if term == "hidden" else (0, 2, 0, 2)
        return F.pad(x.detach(), sizes, value=value).requires_grad_(x.requires_grad)

    return {term: (pad(x, term), pad(y, term)) for term, (x, y) in batch.items()}


@pytest.mark.parametrize("value", [0.0, 5.0, float("nan"), float("-inf"), torch.finfo(torch.float32).min])
def test_masked_losses_and_weights_do_not_see_padding(value: float) -> None:
    short, long = LayerTransport(3, 4), LayerTransport(3, 4)
    for batch in batches(3, 4, 3):
        longer = lengthen(batch, value)
        a = short(**batch, mask=MASK)
        b = long(**longer, mask=F.pad(MASK, (0, 2)))
        for term in BOTH:
            torch.testing.assert_close(a[term], b[term], rtol=1e-12, atol=0)
            (x,) = torch.autograd.grad(a[term], batch[term][0])
            (y,) = torch.autograd.grad(b[term], longer[term][0])
            columns = WIDTH if term == "hidden" else S
            torch.testing.assert_close(x, y[..., :S, :columns], rtol=1e-12, atol=1e-15)
            assert torch.isfinite(y).all()
    a, b = short.observation(), long.observation()
    for term in BOTH:
        for key in ("student", "teacher", "flow"):
            np.testing.assert_allclose(a[term][key], b[term][key], rtol=1e-11)


@pytest.mark.parametrize("reduction", ["masked", "padded"])
@pytest.mark.parametrize("masked_score", [-1e4, float("-inf"), torch.finfo(torch.float32).min])
def test_masked_keys_leave_no_nan(reduction: Any, masked_score: float) -> None:
    transport = LayerTransport(2, 3, reduction=reduction)
    keys = (MASK == 0)[:, None, None, :]
    for batch in batches(2, 3, 3, torch.float32):
        leaf = batch["attention"][0]
        student, teacher = (stack.masked_fill(keys, masked_score) for stack in batch["attention"])
        losses = transport(hidden=batch["hidden"], attention=(student, teacher), mask=MASK)
        total(losses).backward()
        assert all(0 < value < 10 for value in losses.values())
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("half_inputs", [False, True])
def test_students_close_to_the_teacher_stay_exact_under_autocast(distance: float, half_inputs: bool) -> None:
    """Student layers are permuted teacher layers, a little off: all mass stays on the matching pairs.

    The matching pairs then give the weights in closed form (w in proportion to 1 / D of the pair, for both
    nets), and losses and gradients follow from the differences alone.
    """
    layers, order = 4, [2, 0, 3, 1]
    transport = LayerTransport(layers, layers, joint=False)
    share = {term: torch.full((layers,), 0.25, dtype=torch.float64) for term in BOTH}
    mask = torch.ones(B, S)
    for batch in batches(layers, layers, 4, torch.float32):
        near = {}
        for term in BOTH:
            noise, teacher = batch[term]
            student = (teacher[order] + distance * noise).detach()
            if half_inputs:
                student, teacher = student.bfloat16(), teacher.bfloat16()
            near[term] = (student.requires_grad_(), teacher)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = transport(**near, mask=mask)
        for term, (student, teacher) in near.items():
            difference = student.detach().double() - teacher[order].double()
            per_pair = difference.flatten(1).square().mean(1)
            assert losses[term].dtype == torch.float32
            expected = (share[term] * per_pair).sum()
            torch.testing.assert_close(losses[term].double(), expected, rtol=1e-5, atol=0)
            (gradient,) = torch.autograd.grad(losses[term], student)
            weight = share[term].reshape(-1, *[1] * (difference.dim() - 1))
            exact = 2 * weight * difference / difference[0].numel()
            tolerance = 1e-2 if half_inputs else 1e-5
            slack = 1e-5 * exact.abs().max().item()
            torch.testing.assert_close(gradient.double(), exact, rtol=tolerance, atol=slack)
            floor = torch.maximum(per_pair, 1e-6 * per_pair.max())
            share[term] = (1 / floor) / (1 / floor).sum() if per_pair.max() > 0 else share[term] * 0 + 0.25
    seen = transport.observation()
    for term in BOTH:
        np.testing.assert_allclose(seen[term]["student"], share[term], rtol=1e-4)
        np.testing.assert_allclose(np.array(seen[term]["teacher"])[order], share[term], rtol=1e-4)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identical_networks_cost_nothing_step_after_step(options: dict[str, Any], dtype: torch.dtype) -> None:
    transport = LayerTransport(3, 3, **options)
    for batch in batches(3, 3, 5, dtype):
        same = {term: (x, x.detach().clone()) for term, (x, _) in batch.items()}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = transport(**same, mask=MASK)
        total(losses).backward()
        for term, loss in losses.items():
            assert loss == 0
            assert (batch[term][0].grad == 0).all()
    for pair in transport.observation().values():
        np.testing.assert_allclose(pair["student"], 1 / 3)
        np.testing.assert_allclose(pair["teacher"], 1 / 3)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_matching_layer_does_not_break_later_steps(options: dict[str, Any]) -> None:
    transport = LayerTransport(3, 4, **options)
    for batch in batches(3, 4, 6):
        for x, y in batch.values():
            x.data[1] = y[2]
        losses = transport(**batch, mask=MASK)
        total(losses).backward()
        assert all(torch.isfinite(loss) and loss > 0 for loss in losses.values())
        for term in losses:
            assert torch.isfinite(batch[term][0].grad).all()
        for pair in transport.observation().values():
            for side in ("student", "teacher"):
                assert min(pair[side]) > 0
                assert sum(pair[side]) == pytest.approx(1.0, abs=1e-12)


class _Scalars(TorchDispatchMode):
    """Counts reads of device scalars (`item`, `float(...)`, truth values)."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.reads += name in ("_local_scalar_dense", "item", "nonzero", "equal", "is_nonzero")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("update", ["current", "v2020", "frozen"])
def test_one_host_copy_a_step(update: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    for name in ("cpu", "tolist", "item", "__array__", "__float__", "__bool__", "__int__"):
        original = getattr(Tensor, name)

        def counted(self: Tensor, *args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            copies.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(Tensor, name, counted)
    transport = LayerTransport(2, 3, update=update)
    for step, batch in enumerate(batches(2, 3, 4), start=1):
        copies.clear()
        with _Scalars() as scalars:
            losses = transport(**batch, mask=MASK)
        total(losses).backward()
        assert copies == ["cpu"]
        assert scalars.reads == 0
        assert transport.host_copies == step
    transport.flush()
    transport.flush()
    assert transport.host_copies == 4 + (update != "frozen")


def test_when_the_update_is_applied_changes_nothing() -> None:
    lazy, eager = LayerTransport(3, 4), LayerTransport(3, 4)
    for batch in batches(3, 4, 4, torch.float32):
        a, b = (transport(**batch, mask=MASK) for transport in (lazy, eager))
        assert {term: value.item() for term, value in a.items()} == {t: v.item() for t, v in b.items()}
        eager.flush()
    assert lazy.observation()["hidden"]["student"] == eager.observation()["hidden"]["student"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_state_survives_a_file_bit_for_bit(options: dict[str, Any]) -> None:
    first, *rest = batches(3, 4, 4, torch.float32)
    going, resumed = LayerTransport(3, 4, **options), LayerTransport(3, 4, **options)
    going(**first, mask=MASK)
    file = io.BytesIO()
    torch.save(going.state_dict(), file)
    file.seek(0)
    resumed(**rest[0], mask=MASK)  # a queued update and flows that loading must drop
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for batch in rest:
        a, b = (transport(**batch, mask=MASK) for transport in (going, resumed))
        assert {term: value.item() for term, value in a.items()} == {t: v.item() for t, v in b.items()}
    assert going.observation() == resumed.observation()


def test_a_saved_state_is_a_copy() -> None:
    transport = LayerTransport(2, 3)
    first, second = batches(2, 3, 2)
    transport(**first, mask=MASK)
    state = transport.state_dict()
    before = {key: str(value) for key, value in state.items()}
    transport(**second, mask=MASK)
    transport.observation()
    assert {key: str(value) for key, value in state.items()} == before


def test_state_of_another_shape_is_refused() -> None:
    state = LayerTransport(2, 3).state_dict()
    for other in (LayerTransport(3, 3), LayerTransport(2, 4), LayerTransport(2, 3, terms=("hidden",))):
        with pytest.raises(ValueError, match="saved layer weights"):
            other.load_state_dict(state)


def test_observation_is_the_mean_flow_since_the_last_one() -> None:
    transport = LayerTransport(2, 3, update="frozen")
    apart = []
    for batch in batches(2, 3, 3):
        transport(**batch, mask=MASK)
        apart.append(np.array(transport.observation()["hidden"]["flow"]))
    assert transport.observation()["hidden"]["flow"] is None
    for batch in batches(2, 3, 3):
        transport(**batch, mask=MASK)
    together = transport.observation()["hidden"]["flow"]
    np.testing.assert_allclose(together, np.mean(apart, axis=0), atol=1e-15)
    np.testing.assert_allclose(np.sum(together), 1.0)


@pytest.mark.parametrize("term", BOTH)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_raise(term: str, bad: float) -> None:
    (batch,) = batches(2, 3, 1)
    batch[term][0].data[0, 0, 0, 0] = bad
    with pytest.raises(FloatingPointError, match="distances are not finite"):
        LayerTransport(2, 3)(**batch, mask=MASK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"terms": ()}, "terms"),
        ({"terms": ("hidden", "hidden")}, "terms"),
        ({"terms": ("values",)}, "terms"),
        ({"update": "older"}, "update"),
        ({"reduction": "mean"}, "reduction"),
        ({"temperature": 0.0}, "temperature"),
        ({"student_layers": 0}, "at least one layer"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerTransport(**({"student_layers": 2, "teacher_layers": 3} | arguments))


def test_wrong_stacks_are_refused() -> None:
    (batch,) = batches(2, 3, 1)
    with pytest.raises(ValueError, match="needs its student and teacher stacks"):
        LayerTransport(2, 3)(hidden=batch["hidden"], attention=None, mask=MASK)
    with pytest.raises(ValueError, match="instead of"):
        LayerTransport(3, 3)(**batch, mask=MASK)
    x, y = batch["hidden"]
    with pytest.raises(ValueError, match="cannot be compared"):
        LayerTransport(2, 3)(hidden=(x[..., :2], y), attention=batch["attention"], mask=MASK)

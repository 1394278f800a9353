"""An objective with two tiny networks, on random batches: what the tests of all methods are made on."""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from distill import methods
from distill.errors import UserError
from distill.methods.base import Hyperparameter, Method, Shape, Stage
from distill.methods.objective import Objective, Outputs, Setting, Term, total
from distill.models.capture import Capture, shape_of
from tests.distill import tiny

Recipe = Literal["modern", "published"]
ALL = methods.names()
DISTILLING = tuple(name for name in ALL if methods.get(name).needs_teacher)
RECIPES: tuple[Recipe, ...] = ("modern", "published")
# Tokens of the batches' rows where nothing else is said, to which a recipe may be bound.
LENGTH = 7
STAGES = [(name, i) for name in ALL for i in range(len(methods.get(name).stages))]


# Networks by role and keywords.
Pool = dict[tuple[str, Any], Any]


class Network:
    """A network by the keywords of `tiny.classifier`, in float64; one of a kind is built, and the others are copies."""

    def __init__(self, **how: Any) -> None:
        self._how = tuple(sorted(how.items()))

    @property
    def shape(self) -> Shape:
        return _built(self._how)[1]

    def of(self, role: str, pool: Pool) -> Any:
        """That of a pool, which has one for each role; making it leaves torch's generator as it is."""
        if (role, self._how) not in pool:
            pool[role, self._how] = self._made()
        return pool[role, self._how]

    def _made(self) -> Any:
        model, _ = _built(self._how)
        # All copies have one configuration: copying it takes longer than the weights.
        return copy.deepcopy(model, {id(model.config): model.config})


@cache
def _built(how: tuple[tuple[str, Any], ...]) -> tuple[Any, Shape]:
    with torch.random.fork_rng(devices=[]):
        model = tiny.classifier(**dict(how)).double().eval()
    return model, shape_of(model)


@dataclass
class Bench:
    """One stage of a method on a student and a teacher, dropout off unless the student is put in train mode.

    Attributes:
        networks: What the student and the teacher are, which are made, or taken of `pool`, when they are asked for.
        layers: Which layers are taken of the teacher: those that the stage declares.
    """

    method: Method
    stage: Stage
    objective: Objective
    networks: tuple[Network, Network]
    setting: Setting
    regression: bool = False
    num_labels: int = 2
    layers: tuple[int, ...] | None = None
    pool: Pool = field(default_factory=dict)
    span: bool = False

    @cached_property
    def student(self) -> Any:
        return self.networks[0].of("student", self.pool)

    @cached_property
    def teacher(self) -> Any:
        return self.networks[1].of("teacher", self.pool)

    def batch(self, seed: int = 0, rows: int = 4, length: int = LENGTH) -> dict[str, Tensor]:
        return tiny.batch(rows, length, seed=seed, labels=self.num_labels, regression=self.regression, span=self.span)

    def outputs(self, batch: dict[str, Tensor]) -> tuple[Outputs, Outputs | None]:
        inputs, needs = tiny.inputs_of(batch), self.objective.needs
        answer = None
        if self.objective.uses_teacher:
            with torch.no_grad(), closing(Capture(self.teacher, needs, self.layers)) as theirs:
                answer = theirs.run(**inputs)
        with closing(Capture(self.student, needs | self.objective.own_needs)) as ours:
            return ours.run(**inputs), answer

    def terms(self, batch: dict[str, Tensor]) -> dict[str, Term]:
        terms: dict[str, Term] = self.objective(*self.outputs(batch), batch)
        return terms

    def gradient(self, batch: dict[str, Tensor]) -> Tensor:
        """The total's gradient over all parameters of student and objective, laid end to end."""
        parameters = [*self.student.parameters(), *self.objective.parameters()]
        for parameter in parameters:
            parameter.grad = None
        total(self.terms(batch)).backward()
        return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def bench(
    name: str,
    stage: int = 0,
    *,
    params: dict[str, Any] | None = None,
    recipe: Recipe = "modern",
    student: dict[str, Any] | None = None,
    teacher: dict[str, Any] | None = None,
    same: bool = False,
    regression: bool = False,
    span: bool = False,
    labels: int = 2,
    length: int = LENGTH,
    pool: Pool | None = None,
) -> Bench:
    """Build a stage's objective in float64, of a student whose layers run twice where the point asks for that.

    Args:
        params: Overlaid on the method's defaults.
        student, teacher: Keywords of `tiny.classifier`; a student of 2 layers, which run twice where the method asks
            for it, and a teacher of 4 where not said.
        same: Student and teacher are equal networks, whose layers run once.
        span: They point to tokens.
        length: What rows are padded to.
        pool: Of benches that have their networks in common, because nothing that is done with one changes them.

    Raises:
        UserError: The method refuses the values, or they do not fit the student.
    """
    method = methods.get(name)
    heads = {"labels": 1 if regression else labels, "regression": regression, "dropout": 0.0}
    if span:
        heads["span"] = True
    theirs = Network(**{"layers": 4, "seed": 1, **heads, **(teacher or {})})
    resolved = method.resolve(params or {}, recipe)
    own = {"layers": 2, "seed": 2, "sharing": method.sharing(resolved)}
    ours = theirs if same else Network(**{**own, **heads, **(student or {})})
    setting = Setting(
        params=resolved,
        recipe=recipe,
        student=ours.shape,
        teacher=theirs.shape if method.needs_teacher else None,
        num_labels=1 if regression else labels,
        regression=regression,
        length=length,
        span=span,
    )
    setting = replace(setting, carried=carried(method, stage, setting))
    torch.manual_seed(3)
    found = method.stages[stage]
    objective = found.objective(setting).double()
    layers = None
    if setting.teacher is not None:
        layers = found.layers_read(setting.params, recipe, setting.student, setting.teacher)
    return Bench(
        method,
        found,
        objective,
        (ours, theirs),
        setting,
        regression,
        labels,
        layers,
        {} if pool is None else pool,
        span,
    )


def fits(name: str, stage: int, params: dict[str, Any], recipe: Recipe) -> bool:
    """Whether the method takes these values on two networks as small as these."""
    try:
        bench(name, stage, params=params, recipe=recipe)
    except UserError:
        return False
    return True


def carried(method: Method, stage: int, setting: Setting) -> dict[str, Tensor]:
    """What a stage finds of those before it and of the teacher's side, as they begin; alike on networks that are."""
    # The method is kept, so that no other one can have its identity.
    key = (id(method), stage, repr(setting))
    if key not in _CARRIED:
        _CARRIED[key] = method, _left(method, stage, setting)
    return {name: value.clone() for name, value in _CARRIED[key][1].items()}


_CARRIED: dict[Any, tuple[Method, dict[str, Tensor]]] = {}


def _left(method: Method, stage: int, setting: Setting) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    if method.on_teacher is not None and setting.teacher is not None:
        values = method.on_teacher.settle(setting.params, setting.student, setting.teacher)
        torch.manual_seed(3)
        beside = replace(setting, params=values, student=setting.teacher, teacher=None)
        left = method.on_teacher.stage.objective(beside).double().leaves()
        found.update({f"teacher.{name}": value for name, value in left.items()})
    for before in method.stages[:stage]:
        torch.manual_seed(3)
        found.update(before.objective(replace(setting, carried=found)).double().leaves())
    return found


def alternatives(h: Hyperparameter, value: Any) -> list[Any]:
    """Other legal values of a hyper-parameter, its bound of 0 among them where it has one."""
    if h.type == "bool":
        return [not value]
    if h.type in ("choice", "layers"):
        return [choice for choice in h.choices if choice != value]
    candidates = [0, 1, 2, 0.5, h.default, 2 * h.default, h.default / 2]
    low = -float("inf") if h.low is None else h.low
    high = float("inf") if h.high is None else h.high
    legal = {c for c in candidates if low <= c <= high and (h.type != "int" or c == int(c))}
    return sorted(legal - {value})


def read_by_the_loop(method: Method) -> frozenset[str]:
    """Hyper-parameters that decide how a stage is trained, what of the student is or what it begins with.

    No objective reads them, or none but for how its own parameters are trained.
    """
    if id(method) not in _READ:
        _READ[id(method)] = method, _read_by_the_loop(method)
    return _READ[id(method)][1]


_READ: dict[int, tuple[Method, frozenset[str]]] = {}


def _read_by_the_loop(method: Method) -> frozenset[str]:
    found = {"lr"}
    for recipe in RECIPES:
        usual = method.resolve({}, recipe)
        rates = [_rates(method, stage, usual, recipe) for stage in method.stages]
        asked = set().union(*(_asked(method, stage, usual, recipe) for stage in method.stages))
        for h in (h for h in method.hyperparameters if h.name in usual):
            for value in alternatives(h, usual[h.name]):
                other = method.resolve({h.name: value}, recipe)
                watched = _Watched(other)
                method.sharing(watched)
                found |= watched.asked
                every = (*method.stages, *([method.on_teacher.stage] if method.on_teacher else []))
                # A weight of 0 may leave a stage without use, which makes the weight no number of that stage.
                weighs = h.name in asked and usual.keys() != other.keys()
                if not weighs and any(_trained_otherwise(stage, usual, other, recipe) for stage in every):
                    found.add(h.name)
                if method.embeddings(usual) != method.embeddings(other):
                    found.add(h.name)
                if any(_own_rates(method, stage, rates[i], other, recipe) for i, stage in enumerate(method.stages)):
                    found.add(h.name)
                shape = Shape(2, 16, 2)
                trained = [[s.trained(params, recipe, shape) for s in method.stages] for params in (usual, other)]
                if trained[0] != trained[1] and h.name not in asked:
                    found.add(h.name)
    return frozenset(found)


def _trained_otherwise(stage: Stage, usual: dict[str, Any], other: dict[str, Any], recipe: Recipe) -> bool:
    return stage.training(usual, recipe) != stage.training(other, recipe)


class _Watched(dict[str, Any]):
    """Values that remember which of them were asked for by name."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


# Rate and decay of an objective's own parameters, and their names; None where the method refuses the values.
Rates = tuple[float | None, float | None, list[str]] | None


def _own_rates(method: Method, stage: Stage, one: Rates, params: dict[str, Any], recipe: Recipe) -> bool:
    """Whether a point differs from another in how an objective's own parameters are trained, and in nothing else."""
    two = None if one is None else _rates(method, stage, params, recipe)
    return one is not None and two is not None and one[:2] != two[:2] and one[2] == two[2]


def _rates(method: Method, stage: Stage, params: dict[str, Any], recipe: Recipe) -> Rates:
    try:
        setting = _setting(method, params, recipe)
        before = carried(method, method.stages.index(stage), setting)
        objective = stage.objective(replace(setting, carried=before))
    except UserError:
        return None
    return objective.lr, objective.weight_decay, [name for name, _ in objective.named_parameters()]


def _setting(method: Method, params: dict[str, Any], recipe: Recipe) -> Setting:
    teacher = Shape(4, 16, 2) if method.needs_teacher else None
    return Setting(params, recipe, Shape(2, 16, 2), teacher, 2, False, LENGTH)


def _asked(method: Method, stage: Stage, params: dict[str, Any], recipe: Recipe) -> set[str]:
    """Hyper-parameters that a stage's objective is built from."""
    watched = _Watched(params)
    setting = _setting(method, params, recipe)
    found = carried(method, method.stages.index(stage), setting)
    stage.objective(replace(setting, params=watched, carried=found))
    return watched.asked

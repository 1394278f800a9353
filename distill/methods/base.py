"""What a method declares, without importing torch.

A method module holds one `METHOD`. Plan, grid and report read the declaration; only a trial calls the stage's
`objective`, which imports what it needs then.
"""

from __future__ import annotations

import difflib
import importlib
import math
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from distill.errors import UserError
from distill.models.folder import Head
from distill.models.layers import Rule
from distill.models.repeats import Sharing

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting

# What a stage's objective may take of both networks.
PARTS = ("logits", "cls", "hidden", "scores", "query", "key", "value")
# What it may take of the student alone beside them: what the last linear layer of the classifier reads.
POOLED = "pooled"
# Which weights a stage leaves: the last, those of the smallest loss on dev, or those of the best metric there.
Keep = Literal["last", "best", "best-metric"]
# Those of which a stage may read some layers alone.
LAYERED = ("hidden", "scores", "query", "key", "value")


@dataclass(frozen=True)
class Hyperparameter:
    """One value a method can be given.

    Attributes:
        type: "layers" is one of `choices`, or the teacher's layers one by one as text, such as "2-4-6-8-10".
        default: Value where nothing else is said.
        low, high: Inclusive bounds of numbers.
        choices: Legal values of type "choice", and legal words of type "layers".
        published: Default in the published recipe, where it differs.
        active: Whether the value changes anything, given all the others, "recipe" and "regression" (whether labels are
            real numbers); where not, points drop it, so that points which differ only in inert values are one.
        regression: Whether it changes anything in regression tasks.
        canonical: The one value for all that mean the same as the given one, given it and all the others; so that
            points which say the same in two ways are one.
        settled: The same for a student of so many layers with weights of their own.
        unset: A value that is none of its own, such as 0 or "auto", and in words what is taken in its place.
    """

    name: str
    type: Literal["float", "int", "bool", "choice", "layers"]
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    published: Any = None
    active: Callable[[dict[str, Any]], bool] = lambda values: True
    regression: bool = True
    canonical: Callable[[Any, dict[str, Any]], Any] = lambda value, values: value
    settled: Callable[[Any, int], Any] = lambda value, layers: value
    unset: tuple[Any, str] | None = None

    def parse(self, value: Any) -> Any:
        """Bring `value` (a number, or text from the command line) to the declared type.

        Raises:
            UserError: The value has another type or lies outside the bounds.
        """
        if self.type == "choice":
            if str(value) not in self.choices:
                raise UserError(f"{self.name}={value} is unknown; choose one of {', '.join(self.choices)}.")
            return str(value)
        if self.type == "layers":
            return self._layers(value)
        if self.type == "bool":
            known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
            if str(value).lower() not in known:
                raise UserError(f"{self.name}={value} is neither true nor false.")
            return known[str(value).lower()]
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UserError(f"{self.name}={value} is not a number.") from None
        low = -float("inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        if not low <= number <= high:
            raise UserError(f"{self.name}={value} is outside {self.low} … {self.high}; choose a value within.")
        if not math.isfinite(number):
            raise UserError(f"{self.name}={value} is not finite.")
        if self.type == "int" and number != int(number):
            raise UserError(f"{self.name}={value} is not a whole number.")
        return int(number) if self.type == "int" else number

    def _layers(self, value: Any) -> str:
        """A rule's word, or layers as text without leading zeros; a list of numbers is as good as text."""
        text = "-".join(str(entry) for entry in value) if isinstance(value, (list, tuple)) else str(value)
        if text in self.choices:
            return text
        if not re.fullmatch(r"\d+(-\d+)*", text):
            words = f"one of {', '.join(self.choices)}, or " if self.choices else ""
            raise UserError(f"{self.name}={text} names no layers; give {words}the layers themselves, such as 2-4-6.")
        return "-".join(str(int(entry)) for entry in text.split("-"))


@dataclass(frozen=True)
class Shape:
    """Layer count, width, heads of an encoder.

    Attributes:
        layers: Through which the hidden states go: logical ones, where some run twice.
        repeated: How many of the top layers run twice.
        kind: The encoder's `model_type`; shapes of two kinds may be equal.
    """

    layers: int
    hidden_size: int
    heads: int
    repeated: int = 0
    kind: str = field(default="bert", compare=False)

    @property
    def physical(self) -> int:
        """Layers with weights of their own."""
        return self.layers - self.repeated

    def shared(self, sharing: Sharing | None) -> Shape:
        """The encoder with its layers run as asked; as it is, where nothing is.

        Raises:
            UserError: As `Sharing.repeated`.
        """
        if sharing is None:
            return self
        repeated = sharing.repeated(self.physical)
        return replace(self, layers=self.physical + repeated, repeated=repeated)


Embeddings = Literal["random", "pretrained", "teacher"]
Trainable = Callable[[dict[str, Any], str, Shape], tuple[str, ...]]
Settle = Callable[[dict[str, Any], Shape, Shape], dict[str, Any]]
TeacherLayers = Callable[[dict[str, Any], str, Shape, Shape], tuple[int, ...] | None]


@dataclass(frozen=True)
class Stage:
    """One training phase of a method.

    Attributes:
        objective: Builds the stage's objective; imports torch only when called.
        depends_on: Hyper-parameters that change what the stage computes. A stage that depends on none of the
            swept ones can be run once and shared.
        trainable: What of the student this stage trains: ("all",), or prefixes of parameter names inside its encoder
            ("encoder.layer.3.", "pooler.", "embeddings.") or of the whole classifier ("classifier."), where "head" is
            all that stands behind the layers, "output" its last linear layer and "body" everything but that. Nothing
            where the objective's own parameters alone are trained. May be a function of a point's resolved values, the
            recipe and the student's shape, whose `physical` layers have names.
        reporting: Whether its evaluations are the trial's score; exactly one stage of a method reports. Any other is
            judged by its own loss on the dev rows.
        needs: What the objective takes of the teacher, given a point's values and the recipe, as the objective says.
        teacher_layers: Which of the teacher's layers it reads of all that comes layer by layer but [CLS], given the
            point's values, the recipe, the student's and the teacher's shape: from 1, 0 is the embedding output; None
            is all of them. Outputs on disk hold no others.
        training: Its own numbers, given the point's values and the recipe: fields of `Training` and `lr` in which it
            differs from the run. The stage that reports has none: its epochs are the run's.
        keep: Which weights the next stage begins with, given the recipe: the last ones, those of the smallest loss on
            the dev rows ("best"), or those of the task's best metric there ("best-metric"). Where the stage reports,
            the trial keeps the best by itself.
        redraws: Of which of the student's linear layers, named as in `trainable`, weights and biases begin anew.
        dropout: Whether a recipe's student drops out while the stage trains; a frozen one may be read as it is.
        reads_padding: Whether a recipe's losses read the teacher's values at padded places.
        one_length: Whether a recipe's losses need all rows padded to one length.
        additive: Whether every term is a mean over the rows of a batch, so that parts of a batch, weighted by their
            rows, give its terms and gradient.
        origin: Under which method's name its result is kept, where several methods begin with the very same stages.
        settle: What its objective reads of a point's resolved values, the student's and the teacher's shape, one way
            for all that mean the same; what is in `training` need not be repeated. None is the values of `depends_on`.
    """

    name: str
    objective: Callable[[Setting], Objective]
    depends_on: tuple[str, ...]
    trainable: tuple[str, ...] | Trainable = ("all",)
    reporting: bool = True
    needs: Callable[[dict[str, Any], str], frozenset[str]] = lambda params, recipe: frozenset({"logits"})
    teacher_layers: TeacherLayers = lambda params, recipe, student, teacher: None
    training: Callable[[dict[str, Any], str], dict[str, Any]] = lambda params, recipe: {}
    keep: Callable[[str], Keep] = lambda recipe: "last"
    redraws: tuple[str, ...] = ()
    dropout: Callable[[str], bool] = lambda recipe: True
    reads_padding: Callable[[str], bool] = lambda recipe: False
    one_length: Callable[[str], bool] = lambda recipe: False
    additive: bool = False
    origin: str | None = None
    settle: Settle | None = None

    def trained(self, params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
        """`trainable`, for one point."""
        return self.trainable(params, recipe, student) if callable(self.trainable) else self.trainable

    def layers_read(
        self, params: dict[str, Any], recipe: str, student: Shape, teacher: Shape
    ) -> tuple[int, ...] | None:
        """`teacher_layers`, each once and in order; None also where nothing comes layer by layer.

        Raises:
            ValueError: The teacher has no such layer, or none of a part that is needed is read.
        """
        needs = self.needs(params, recipe)
        chosen = self.teacher_layers(params, recipe, student, teacher)
        if chosen is None or not needs & set(LAYERED):
            return None
        if wrong := [layer for layer in chosen if not 0 <= layer <= teacher.layers]:
            raise ValueError(f"stage {self.name} reads layers {wrong} of a teacher that has {teacher.layers}")
        if not any(layer > 0 for layer in chosen) and (not chosen or needs & set(LAYERED) != {"hidden"}):
            raise ValueError(f"stage {self.name} needs {sorted(needs)} of the teacher, but reads layers {chosen}")
        return tuple(sorted(set(chosen)))


@dataclass(frozen=True)
class OnTeacher:
    """A stage that is trained once on the frozen teacher, before any student.

    What its objective leaves is carried into every stage of the students, with "teacher." before each name. Its run is
    that of the teacher's own training, but for the stage's own numbers.

    Attributes:
        stage: Run with the teacher in the student's place and no teacher beside it.
        settle: All the values that its objective reads, given a point's resolved values, the student's and the
            teacher's shape, so that nothing of the student but these is in what it leaves.
        shapes: Names and shapes of what it leaves ("teacher_filters"), and of what the student's own stage does
            ("student_filters"), given the same.
        idle: Hyper-parameters that are 0 where a person gives the one or the other.
        used: Whether a point takes anything of it, given its resolved values.
    """

    stage: Stage
    settle: Settle
    shapes: Callable[[dict[str, Any], Shape, Shape], dict[str, dict[str, tuple[int, ...]]]]
    idle: dict[str, tuple[str, ...]]
    used: Callable[[dict[str, Any]], bool] = lambda values: True


@dataclass(frozen=True)
class Published:
    """What the published recipe of a method fixes beside its hyper-parameters.

    Attributes:
        training: Fields of `Training` that differ from the modern recipe.
        teacher: The teacher's own training: fields of `Training`, `lr`, and `keep` ("best" or "last" epoch).
        head: "own", or "relu" where student and teacher are read through a ReLU on the pooled output.
        students: Layer count to hub id of the student the method was published with; empty where that was cut from
            the teacher's pre-trained encoder, as `Method.student_layers` says.
    """

    training: dict[str, Any]
    teacher: dict[str, Any]
    head: Head = "own"
    students: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A distillation method (or plain fine-tuning).

    Attributes:
        needs_teacher: False for undistilled training.
        student_inits: Student initialisations it accepts, its default first.
        student_layers: Which layers a student that is cut from an encoder keeps where nothing else is said.
        sharing: Given a point's resolved values: how its student's layers run twice; None leaves them as they come.
            Shapes that a method is given count the layers of such a student twice.
        regression, spans: Whether its losses are defined for real labels, and where classes are positions of a row.
        misfit: Given a point's resolved values, the student's and the teacher's shape: why the method cannot run, as
            one sentence with the remedy, or None. The plan asks before anything starts.
        meets: Given the same: which layers of both networks are compared, as words for the plan, or None.
        projects: What brings students of another width to the teacher's, in words; empty where nothing does.
        embeddings: Given a point's values, whose embeddings a student begins with: its own, the teacher's, or new ones.
        published: The rest of its published recipe; None where the method has only the modern one.
        on_teacher: What is trained on the teacher itself first.
    """

    name: str
    title: str
    reference: str
    hyperparameters: tuple[Hyperparameter, ...]
    stages: tuple[Stage, ...]
    needs_teacher: bool = True
    student_inits: tuple[str, ...] = ("pretrained", "teacher")
    student_layers: Rule = "evenly"
    sharing: Callable[[dict[str, Any]], Sharing | None] = lambda values: None
    regression: bool = True
    spans: bool = True
    misfit: Callable[[dict[str, Any], Shape, Shape], str | None] = lambda values, student, teacher: None
    meets: Callable[[dict[str, Any], Shape, Shape], str | None] = lambda values, student, teacher: None
    projects: str = ""
    embeddings: Callable[[dict[str, Any]], Embeddings] = lambda values: "pretrained"
    published: Published | None = None
    on_teacher: OnTeacher | None = None

    def hyperparameter(self, name: str) -> Hyperparameter | None:
        return next((h for h in self.hyperparameters if h.name == name), None)

    def taken_of_teacher(self, params: dict[str, Any]) -> OnTeacher | None:
        """`on_teacher`, where a point with these resolved values takes anything of it."""
        return self.on_teacher if self.on_teacher is not None and self.on_teacher.used(params) else None

    def needs(self, params: dict[str, Any], recipe: str) -> frozenset[str]:
        """What any of its stages takes of the teacher at a point's resolved values; nothing without a teacher."""
        if not self.needs_teacher:
            return frozenset()
        return frozenset().union(*(stage.needs(params, recipe) for stage in self.stages))

    def needs_on_dev(self, params: dict[str, Any], recipe: str) -> frozenset[str]:
        """What is taken of the teacher at the dev rows, where stages are judged by their loss."""
        if not self.needs_teacher:
            return frozenset()
        return frozenset().union(*(stage.needs(params, recipe) for stage in self.stages if not stage.reporting))

    def layers_read(
        self, params: dict[str, Any], recipe: str, student: Shape, teacher: Shape
    ) -> tuple[int, ...] | None:
        """The teacher's layers that any of its stages reads; None is all, or nothing that comes layer by layer.

        Raises:
            ValueError: As `Stage.layers_read`.
        """
        stages = [s for s in self.stages if self.needs_teacher and s.needs(params, recipe) & set(LAYERED)]
        found = [stage.layers_read(params, recipe, student, teacher) for stage in stages]
        if not found or None in found:
            return None
        return tuple(sorted({layer for layers in found for layer in layers or ()}))

    def reads_padding(self, recipe: str) -> bool:
        """Whether any of its stages reads the teacher's values at padded places."""
        return self.needs_teacher and any(stage.reads_padding(recipe) for stage in self.stages)

    @property
    def additive(self) -> bool:
        """Whether batches may be cut into parts in every stage."""
        return all(stage.additive for stage in self.stages)

    def head(self, recipe: str) -> Head:
        """Through which student and teacher are read in a recipe."""
        return self.published.head if recipe == "published" and self.published else "own"

    def resolve(
        self, values: dict[str, Any], recipe: str, regression: bool = False, layers: int | None = None
    ) -> dict[str, Any]:
        """Defaults overlaid with `values`, parsed, without what is inert in `recipe` or, if asked, in regression.

        Where the student's `layers` are known, values are settled for them.

        Raises:
            UserError: A name is unknown, or a value illegal.
        """
        known = [h.name for h in self.hyperparameters]
        for name in values:
            if name not in known:
                raise UserError(f"{self.name} has no hyper-parameter {name}{nearest(name, known)}")
        full = {}
        for h in self.hyperparameters:
            default = h.published if recipe == "published" and h.published is not None else h.default
            full[h.name] = h.parse(values.get(h.name, default))
        full = {h.name: h.canonical(full[h.name], full) for h in self.hyperparameters}
        known_by = {**full, "recipe": recipe, "regression": regression}
        acting = (h for h in self.hyperparameters if h.active(known_by) and (h.regression or not regression))
        return {h.name: full[h.name] if layers is None else h.settled(full[h.name], layers) for h in acting}


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Tail of an error sentence that names the nearest known word, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}."


@cache
def names() -> tuple[str, ...]:
    """Names of all methods, found by listing the package."""
    package = importlib.import_module("distill.methods")
    others = {"__main__", "base", "objective"}
    found = (module.name for module in pkgutil.iter_modules(package.__path__) if module.name not in others)
    return tuple(name for name in found if hasattr(importlib.import_module(f"distill.methods.{name}"), "METHOD"))


def get(name: str) -> Method:
    """The declaration of a method.

    Raises:
        UserError: No method of that name; the nearest known one is named.
    """
    if name not in names():
        raise UserError(f"--method {name} is unknown{nearest(name, names())}")
    method: Method = importlib.import_module(f"distill.methods.{name}").METHOD
    return method

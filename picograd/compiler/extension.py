"""Ops and rules that are declared outside of picograd: one call puts them into all tables.

    register_elementwise(HypotOp, evaluate=…, bound=…, gradient=…, lower=…)
    register_rule(BinaryOp, square_of_absolute)

What picograd knows of an op stands in one table per concern, keyed by the op's class. An op that
computes each element of its result from the same element of its operands needs four rows of its
own; how it is fused, batched, counted and differentiated forward follows from its being such an op.

Registering is part of importing a module, such as registering a codec or a NumPy ufunc is: do it
once, at the top. Programs that were compiled before are compiled again.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from xdsl.ir import Operation

from picograd.compiler.diagnostics import kind_and_message
from picograd.compiler.executable import clear_cache
from picograd.compiler.kept.sources import EXTENSIONS
from picograd.dialects import add_op
from picograd.dialects.tensor import BinaryOp, TensorOp
from picograd.errors import OptionError, PicogradError, RuleError, origin_of
from picograd.passes.fusion.strides import OPERAND_STRIDES, RESULT_STRIDES
from picograd.passes.lowering.elements import Rule as LoweringRule
from picograd.passes.lowering.rules import RULES as LOWERING
from picograd.passes.rewriting.greedy import Rule as RewriteRule
from picograd.passes.rules import ALL as REWRITES
from picograd.semantics.batching import BATCHING
from picograd.semantics.bounds import BOUNDS
from picograd.semantics.bounds_elementwise import BoundRule
from picograd.semantics.counters import OPERATIONS
from picograd.semantics.gradient_call import NotDifferentiable
from picograd.semantics.gradient_call import Rule as GradientRule
from picograd.semantics.gradients import GRADIENTS
from picograd.semantics.tangents import TANGENTS, elementwise
from picograd.semantics.tensor import EVALUATE, Array, Precision

EvaluationRule: TypeAlias = Callable[[Any, Sequence[Array], Precision], Array]

P = ParamSpec("P")
R = TypeVar("R")

_REGISTERED: list[str] = []


def registered() -> Sequence[str]:
    """What has been registered so far: names of ops and of rules."""
    return tuple(_REGISTERED)


def register_elementwise(
    op: type[TensorOp],
    *,
    evaluate: EvaluationRule,
    bound: BoundRule,
    gradient: GradientRule | NotDifferentiable,
    lower: LoweringRule,
) -> None:
    """Make an elementwise op known at every level and on every device.

    `evaluate(op, arrays, precision)` is its value in NumPy; `bound(op, operands, accuracy)` how far
    a device may be from that; `gradient(ops, call, grad)` the gradients of its operands; and
    `lower(op, index, at)` one element of its result, in scalar ops. Raises OptionError for a name
    that is no op's of tensor level, or that another class has.
    """
    if not op.name.startswith("pico."):
        raise OptionError(
            f"the op {op.name} is not of tensor level",
            code="PG712",
            expected="a name such as pico.hypot",
            found=op.name,
            hint="give the class the name pico.…: the prefix tells the level of a module",
        )
    taken = [known for known in EVALUATE if known.name == op.name]
    if taken:
        raise OptionError(
            f"there is an op called {op.name} already",
            code="PG712",
            expected="a name of its own, registered once",
            found=f"{taken[0].__module__}.{taken[0].__name__}",
            hint="choose another name, or import the module that registers it only once",
        )
    add_op(op)
    EVALUATE[op] = told(op.name, "evaluate", evaluate)
    BOUNDS[op] = told(op.name, "bound", bound)
    if isinstance(gradient, NotDifferentiable):
        GRADIENTS[op] = TANGENTS[op] = gradient
    else:
        GRADIENTS[op] = told(op.name, "gradient", gradient)
        TANGENTS[op] = elementwise(op)
    LOWERING[op] = told(op.name, "lower", lower)
    # What these say of a binary op they say of every op whose elements do not mix.
    BATCHING[op] = BATCHING[BinaryOp]
    OPERATIONS[op] = OPERATIONS[BinaryOp]
    OPERAND_STRIDES[op] = OPERAND_STRIDES[BinaryOp]
    RESULT_STRIDES[op] = RESULT_STRIDES[BinaryOp]
    _registered(op.name, op, evaluate, bound, gradient, lower)


def told(op: str, name: str, rule: Callable[P, R]) -> Callable[P, R]:
    """A rule of an op whose own exceptions are told as its own: they are nobody else's mistake.

    They become a RuleError that names the op, the rule and the line; picograd's errors stay.
    """

    @wraps(rule)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return rule(*args, **kwargs)
        except PicogradError:
            raise
        except (Exception, SystemExit) as error:
            raise RuleError(
                f"the rule `{name}` of {op} failed: {kind_and_message(error)}",
                code="PG718",
                expected="a rule that comes to its end, or raises one of picograd's errors",
                found=f"an exception at {origin_of(error.__traceback__)}",
                hint="mend the rule at that line; the exception is the cause of this error",
            ) from error

    return called


def register_rule(op: type[Operation], rule: RewriteRule) -> None:
    """Let `canonicalize` try a rule on ops of a class, after its own."""
    REWRITES[op] = (*REWRITES.get(op, ()), rule)
    _registered(getattr(rule, "__name__", repr(rule)), rule)


def _registered(name: str, *parts: object) -> None:
    """Keep in mind whose code it is, and forget what was compiled without it."""
    _REGISTERED.append(name)
    EXTENSIONS.extend(str(getattr(part, "__module__", "an unknown module")) for part in parts)
    clear_cache()

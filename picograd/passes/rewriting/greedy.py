"""A greedy rewrite driver with a cap: apply local rules until none applies.

xDSL's own walker never stops when two rules undo each other; this one stops after a number of
rewrites that no honest set of rules reaches, and names the rule it caught.
Source: MLIR's `applyPatternsGreedily`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.errors import PassError
from picograd.passes.rewriting.applications import Applications, current

# A rule looks at one op and returns the value that replaces its only result, or None where it
# does not apply. It may insert ops before the one it looks at, through `build`.
Rule: TypeAlias = Callable[[Any, "Build"], SSAValue | None]
RuleTable: TypeAlias = Mapping[type[Operation], Sequence[Rule]]

# Rewrites allowed for each op of the input. The longest honest chains (a view pushed through a
# deep chain of views) stay below it by far.
REWRITES_PER_OP = 64


class Build:
    """Inserts ops before the op that a rule is looking at, and remembers them."""

    def __init__(self, before: Operation) -> None:
        self._before = before
        self.inserted: list[Operation] = []

    def __call__(self, op: Operation) -> SSAValue:
        """Insert `op` and return its only result. The user's source line (`at`) is inherited."""
        if "at" in self._before.attributes and "at" not in op.attributes:
            op.attributes["at"] = self._before.attributes["at"]
        Rewriter.insert_op(op, InsertPoint.before(self._before))
        self.inserted.append(op)
        return op.results[0]


def rewrite_greedily(root: Operation, rules: RuleTable) -> int:
    """Apply `rules` to every op inside `root`, and to what they make, until none applies.

    Ops that a rewrite leaves without a use are erased. Returns the number of rewrites. Where
    applications are counted (`applications.counted`), no rule is tried after the last allowed one.
    Raises PassError when the rules do not come to an end.
    """
    worklist = _Worklist(root.walk(reverse=True))
    cap = REWRITES_PER_OP * (len(worklist) + 1)
    rewrites = 0
    applications = current()
    while (op := worklist.pop()) is not None:
        if applications is not None and applications.exhausted:
            break
        rule = _apply_first(op, rules.get(type(op), ()), worklist, applications)
        if rule is None:
            continue
        rewrites += 1
        if rewrites > cap:
            raise PassError(
                f"the rewrite rules do not come to an end: stopped after {rewrites} rewrites",
                code="PG710",
                expected="rules that each bring the module closer to a form none of them matches",
                found=f"the rule {getattr(rule, '__name__', rule)} still applies",
                hint="look for a rule that undoes what another one does",
                where=op.name,
            )
    return rewrites


def _apply_first(
    op: Operation,
    rules: Sequence[Rule],
    worklist: "_Worklist",
    applications: Applications | None,
) -> Rule | None:
    """Apply the first of `rules` that matches `op`; returns it, or None."""
    for rule in rules:
        build = Build(op)
        if applications is not None:
            applications.attempt(rule, op)
        value = rule(op, build)
        if value is None:
            if build.inserted:
                raise PassError(
                    f"rule {rule} built ops and then did not match",
                    code="PG710",
                    expected="None before anything is built, or a value to replace the op with",
                    found=f"{len(build.inserted)} ops built, and None",
                    where=op.name,
                    hint="let the rule match before it builds",
                )
            continue
        if applications is not None:
            applications.applied()
        worklist.extend(reversed(build.inserted))
        _replace(op, value, worklist)
        return rule
    return None


def _replace(op: Operation, value: SSAValue, worklist: "_Worklist") -> None:
    """Replace the result of `op` by `value`, keeping its name, and erase what is dead then."""
    result = op.results[0]
    if result.name_hint is not None and (value.name_hint is None and isinstance(value, OpResult)):
        value.name_hint = result.name_hint
    worklist.extend(use.operation for use in result.uses)
    if isinstance(value, OpResult):
        worklist.push(value.op)
    result.replace_all_uses_with(value)
    dead = [op]
    while dead:
        gone = dead.pop()
        owners = [o.op for o in dict.fromkeys(gone.operands) if isinstance(o, OpResult)]
        worklist.remove(gone)
        Rewriter.erase_op(gone)
        for owner in owners:
            if not any(r.first_use is not None for r in owner.results):
                dead.append(owner)
            else:
                worklist.push(owner)


class _Worklist:
    """A stack of ops without duplicates."""

    def __init__(self, ops: Iterable[Operation]) -> None:
        self._ops: dict[Operation, None] = dict.fromkeys(ops)

    def __len__(self) -> int:
        return len(self._ops)

    def push(self, op: Operation) -> None:
        self._ops[op] = None

    def extend(self, ops: Iterable[Operation]) -> None:
        for op in ops:
            self.push(op)

    def remove(self, op: Operation) -> None:
        self._ops.pop(op, None)

    def pop(self) -> Operation | None:
        return self._ops.popitem()[0] if self._ops else None

"""A small program that goes through a pipeline as a large one does: its twin.

A module that is too large to be evaluated after every pass is validated on its twin. Dimensions and
whatever a schedule compares them with (tile sizes, caches, vectors, workgroups, threads) shrink
together, so that the twin is tiled, packed, left with tails, shared by threads and reduced in trees
where the original is. Each dimension keeps, for every pass that cuts it, the kind of its remainder:
0, 1, one less than a tile, or another, and whether there are several tiles.

    small = twin(module, pipeline("cpu"))
    run_pipeline(small.module, small.passes)
    print(*small.kept, sep="\\n")              # what did not shrink, and why

Sizes are found by trying: the original is lowered as far as its last tiling pass, and what it cuts
is noted by extent; then the twin is, a few times, until each of its dimensions is cut likewise.
Dimensions of one size in the original have one size in the twin. Those that are products of others
(the rows of a flattened batch) follow from them, with whatever remainder that gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.axes import axes_in, settle
from picograd.compiler.validation.resize import AxisClass, Study, rebuild, study
from picograd.compiler.validation.small_passes import small_passes
from picograd.compiler.validation.tiles_seen import TILING, Cut, Remainder, cuts_of, kinds_of_rest
from picograd.passes.base import Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.counters import count

SMALL = 4
"""Dimensions of so few elements stay as they are: the taps of a filter, the words of a state."""

LARGEST = 40
"""A twin's dimension is not made longer than this to be cut as the original's is."""

REMARKABLE = 16
"""A dimension that stays longer than this, and than half of what it was, is remarked upon."""

UNCUT = 6
"""The length of dimensions that no pass cuts, one less where the original's is odd."""

MOST_OPERATIONS = 1_500_000
"""A twin that computes more than this tries again with shorter dimensions."""

ROUNDS = range(3, 13)
"""How often the twin is lowered to see how it is cut: the more often, the fewer ops it has."""

OPS_A_ROUND = 1500
"""A module with so many ops gets the fewest rounds."""

TRIES = 12
"""How many sizes are tried where other sizes forbid the first."""


@dataclass(frozen=True)
class Twin:
    """A module and passes that are small where the originals are large.

    `kept` says what could not be made small, or is not cut as in the original, and why.
    """

    module: ModuleOp
    passes: Pipeline
    kept: tuple[str, ...]
    sizes: Mapping[AxisClass, int]
    """The twin's size of each class of axes of the original."""


Tiles: TypeAlias = Mapping[int, frozenset[int]]
"""By the numbers of passes, the tiles into which each cuts a dimension."""


def twin(module: ModuleOp, passes: Sequence[Pass]) -> Twin:
    """The twin of a tensor-level module and its passes.

    Raises PassError for a module below the tensor level, whose axes are not known.
    """
    return _Search(module, Pipeline(passes)).run()


class _Search:
    """The sizes of a module's twin, found in a few rounds."""

    def __init__(self, module: ModuleOp, passes: Pipeline) -> None:
        self.module = module
        self.known: Study = study(module)
        self.small, self.remarks = small_passes(passes)
        self.passes = passes
        self.failed: list[str] = []
        self.tried: dict[int, dict[int, Tiles]] = {}
        cuts = self.cuts(module, passes, "the module")
        self.runs = cuts is not None
        cuts = cuts or frozenset()
        self.wanted: dict[int, frozenset[Remainder]] = {}
        for extent in {cut.extent for cut in cuts}:
            kinds = [cut.remainders() for cut in cuts if cut.extent == extent]
            self.wanted[extent] = frozenset().union(*kinds)
        self.longest = LARGEST
        self.live = live_atoms(self.known)
        self.groups: dict[int, list[AxisClass]] = {}
        for axis in self.known.classes():
            if axis.pinned is None and axis.size > SMALL:
                self.groups.setdefault(axis.size, []).append(axis)

    def cuts(self, module: ModuleOp, passes: Pipeline, what: str) -> frozenset[Cut] | None:
        """How the passes cut a module; None where they fail, which is remarked."""
        if not any(isinstance(step, TILING) for step in passes):
            return frozenset()
        try:
            return cuts_of(module, passes)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - any pass may raise anything
            # Whoever validates the passes finds what fails; the twin only cannot be fitted to it.
            self.failed.append(f"{what} cannot be tiled: a pass raised {type(error).__name__}")
            return None

    def run(self) -> Twin:
        """The best twin of some rounds."""
        best: tuple[tuple[bool, int, int], Twin] | None = None
        ops = len(self.known.placed)
        for number in range(min(max(OPS_A_ROUND // max(ops, 1), ROUNDS.start), ROUNDS.stop)):
            settled, conflicts = self.settle(small_first=number % 2 == 0 and number > 0)
            small = rebuild(self.module, self.known, settled)
            if small is None:
                break
            cuts = self.cuts(small, self.small, "a smaller one") if self.runs else frozenset[Cut]()
            if cuts is None:
                # The passes fail for being made small, or for a size that the original has not.
                self.longest = max(self.longest * 2 // 3, 2 * SMALL)
                continue
            sizes = {axis: settled[axis.number] for axis in self.known.classes()}
            missing = self.missing(sizes, cuts)
            work = count(small).operations
            rank = work > MOST_OPERATIONS, len(missing), work
            if best is None or rank < best[0]:
                kept = (*self.unshrunk(sizes, conflicts), *missing, *self.remarks, *self.failed)
                best = rank, Twin(small, self.small, tuple(dict.fromkeys(kept)), sizes)
            if rank[0]:
                self.longest = max(self.longest * 2 // 3, 2 * SMALL)
            # What is met by what is large, whose tiles say most, may be had small.
            news = self.learn(sizes, cuts)
            if number > 1 and (not news or (not missing and not rank[0])):
                break
        if best is None:
            reason = "nothing is smaller: no op, or no pass, takes the sizes that were tried"
            same = {axis: axis.size for axis in self.known.classes()}
            kept = (reason, *dict.fromkeys(self.failed))
            return Twin(self.module.clone(), self.passes, kept, same)
        return best[1]

    def settle(self, *, small_first: bool) -> tuple[dict[int, int], dict[AxisClass, str]]:
        """A size for each atom, and why some keep theirs."""
        axes = self.known.axes
        bound = {
            atom
            for constraint in axes.constraints
            for axis in axes_in(constraint)
            for atom in axes.resolve(axis)
        }
        requests: dict[int, int] = {}
        conflicts: dict[AxisClass, str] = {}
        taken: set[int] = set()
        for size in sorted(self.groups, reverse=True):
            wishes = self.wishes(size, taken, small_first=small_first)
            free = [axis for axis in self.groups[size] if axis.number not in bound]
            requests.update({axis.number: wishes[0] for axis in free})
            taken.add(wishes[0])
            for axis in self.groups[size]:
                if axis.number in bound:
                    self.ask(axis, wishes, requests, conflicts)
        settled = settle(axes, requests)
        assert settled is not None, "each request was tried with those before it"
        return settled, conflicts

    def ask(
        self,
        axis: AxisClass,
        wishes: Sequence[int],
        requests: dict[int, int],
        conflicts: dict[AxisClass, str],
    ) -> None:
        """Add the first size to the requests with which the others can be had."""
        reasons: list[str] = []
        for wish in wishes[:TRIES]:
            settled = settle(self.known.axes, {**requests, axis.number: wish}, reasons)
            if settled is not None and rebuild(self.module, self.known, settled) is not None:
                requests[axis.number] = wish
                return
        conflicts[axis] = reasons[0] if reasons else "an op refuses it"

    def wishes(self, size: int, taken: set[int], *, small_first: bool) -> Sequence[int]:
        """Sizes for a dimension in the order in which they are tried: those cut likewise first."""
        wanted, most = self.wanted.get(size), min(size, self.longest)
        if not wanted:
            first = min(size, UNCUT - size % 2)
            return [first, *(n for n in range(SMALL, most + 1) if n != first)]
        tried = self.tried.get(size)
        if not tried:
            # Large, so that the passes show which tiles they like, and different for each.
            return [n for n in range(most, 1, -1) if n not in taken] or [most]

        def lacking(wish: int) -> int:
            likely = tried.get(wish)
            if likely is None:
                near = tried[min(tried, key=lambda n: (abs(n - wish), -n))]
                likely = {k: frozenset(min(t, wish) for t in ts) for k, ts in near.items()}
            return sum(not _is_met(kind, wish, likely) for kind in wanted)

        sign = 1 if small_first else -1
        return sorted(range(2, most + 1), key=lambda n: (lacking(n), n in taken, sign * n))

    def missing(self, sizes: Mapping[AxisClass, int], cuts: frozenset[Cut]) -> tuple[str, ...]:
        """What the twin's dimensions lack of how the original's are cut, in words."""
        have: dict[int, set[Remainder]] = {}
        for cut in cuts:
            have.setdefault(cut.extent, set()).update(cut.remainders())
        lacking: dict[tuple[int, int, Remainder], str] = {}
        for axis, new in sizes.items():
            if axis.size <= SMALL or axis.pinned or axis.number not in self.live:
                continue
            for kind in sorted(self.wanted.get(axis.size, ()), key=str):
                if kind not in have.get(new, ()):
                    text = f"{axis}, now {new}: {self.place(kind.step)} leaves no {kind}"
                    lacking.setdefault((axis.size, new, kind), text)
        return tuple(lacking.values())

    def place(self, step: int) -> str:
        """A pass in words, by its number in the pipeline."""
        return f"pass {step + 1}, {self.small[step].name},"

    def unshrunk(
        self, sizes: Mapping[AxisClass, int], conflicts: Mapping[AxisClass, str]
    ) -> tuple[str, ...]:
        """The dimensions that keep a large size, and why."""
        reason = "smaller ones are cut in another way, or other dimensions ask for it"
        return tuple(
            f"{axis}, now {new}: {axis.pinned or conflicts.get(axis, reason)}"
            for axis, new in sizes.items()
            if new > max(REMARKABLE, axis.size // 2)
        )

    def learn(self, sizes: Mapping[AxisClass, int], cuts: frozenset[Cut]) -> bool:
        """Note how the twin's dimensions were cut; whether that was not known before."""
        news = False
        for axis, new in sizes.items():
            tiles: dict[int, frozenset[int]] = {}
            for cut in cuts:
                if cut.extent == new:
                    tiles[cut.step] = tiles.get(cut.step, frozenset()) | {cut.tile}
            tried = self.tried.setdefault(axis.size, {})
            news = news or tried.get(new) != tiles
            tried[new] = tiles
        return news


def live_atoms(known: Study) -> frozenset[int]:
    """The atoms of the values that the function's results hang on."""
    block = known.function.body.block
    live: set[SSAValue] = set()
    for op in reversed(list(block.ops)):
        if isinstance(op, ReturnOp) or any(result in live for result in op.results):
            live.update(op.operands)
    axes = known.axes
    return frozenset(a for v in live for axis in axes.of[v] for a in axes.resolve(axis))


def _is_met(kind: Remainder, size: int, tiles: Tiles) -> bool:
    """Whether a size is cut in a way, given the tiles of the passes."""
    return any(
        (size > tile) == kind.several and kind.rest in kinds_of_rest(size, tile)
        for tile in tiles.get(kind.step, ())
    )

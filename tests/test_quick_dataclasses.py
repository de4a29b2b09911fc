"""Classes are what the standard library's `dataclass` makes of them, but for what is refused."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field, fields, replace
from typing import Any, ClassVar

import pytest

from picograd.quick_dataclasses import dataclass

Decorator = Callable[[Any], Any]


def plain(decorate: Decorator) -> Any:
    class Plain:
        """Two fields, and what is none."""

        first: int
        second: str = "two"
        shared: ClassVar[int] = 3

    return decorate(Plain)


def with_factory(decorate: Decorator) -> Any:
    class WithFactory:
        """A field for each way to say what stands in it."""

        given: int
        made: list[int] = field(default_factory=list[int])
        noted: float = field(default=0.5, metadata={"unit": "ms"})
        unseen: int = field(default=7, repr=False, compare=False)

    return decorate(WithFactory)


def derived(decorate: Decorator) -> Any:
    class Base:
        """A base."""

        first: int = 1
        second: int = 2

    class Derived(decorate(Base)):
        """It says something else of one field, and adds one."""

        first: int = 10
        third: int = 3

    return decorate(Derived)


def with_methods(decorate: Decorator) -> Any:
    class WithMethods:
        """What a class defines itself stays."""

        value: int = 1

        def __repr__(self) -> str:
            return f"<{self.value}>"

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return 5

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("below zero")

    return decorate(WithMethods)


def equal_by_itself(decorate: Decorator) -> Any:
    class EqualByItself:
        """It says what is equal, but not how to hash that."""

        value: int = 1

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self)

    return decorate(EqualByItself)


def empty(decorate: Decorator) -> Any:
    class Empty:
        """No field."""

    return decorate(Empty)


KINDS = [plain, with_factory, derived, with_methods, equal_by_itself, empty]
GIVEN: dict[Any, list[tuple[Any, ...]]] = {
    plain: [(1,), (1, "two"), (2, "three")],
    with_factory: [(1,), (1, [2]), (1, [], 0.5, 8), (2,)],
    derived: [(), (1,), (10, 2, 3), (10, 2, 4)],
    with_methods: [(), (1,), (2,)],
    equal_by_itself: [(), (2,)],
    empty: [(), ()],
}
OPTIONS: list[dict[str, bool]] = [
    {},
    {"frozen": True},
    {"eq": False},
    {"frozen": True, "eq": False},
]


def hash_of(value: object) -> object:
    try:
        return hash(value) is not None
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_as_the_standard_library(kind: Any, options: dict[str, bool]) -> None:
    ours, theirs = kind(dataclass(**options)), kind(dataclasses.dataclass(**options))
    assert [each.name for each in fields(ours)] == [each.name for each in fields(theirs)]
    assert [each.metadata for each in fields(ours)] == [each.metadata for each in fields(theirs)]
    assert ours.__match_args__ == theirs.__match_args__
    ours_made = [ours(*given) for given in GIVEN[kind]]
    theirs_made = [theirs(*given) for given in GIVEN[kind]]
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    if kind is with_methods or options.get("eq", True):
        assert list(map(hash_of, ours_made)) == list(map(hash_of, theirs_made))
    for mine, yours in zip(ours_made, theirs_made, strict=True):
        assert repr(mine) == repr(yours)
        assert vars(mine) == vars(yours) == vars(copy.copy(mine))
        equal = [[a == b for b in all] for a, all in ((mine, ours_made), (yours, theirs_made))]
        assert equal[0] == equal[1]
        assert mine != yours
        assert [mine in {each} for each in ours_made if hash_of(each) is True] == [
            yours in {each} for each in theirs_made if hash_of(each) is True
        ]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_fields_are_changed_alike(options: dict[str, bool]) -> None:
    for decorate in (dataclass(**options), dataclasses.dataclass(**options)):
        made = plain(decorate)(1)
        assert vars(replace(made, second="three")) == {"first": 1, "second": "three"}
        with pytest.raises(TypeError, match="third"):
            replace(made, third=3)
        if not options.get("frozen"):
            made.first = 2
            assert made.first == 2
            continue
        with pytest.raises(FrozenInstanceError, match="cannot assign to field 'first'"):
            made.first = 2
        with pytest.raises(FrozenInstanceError, match="cannot delete field 'second'"):
            del made.second
        with pytest.raises(FrozenInstanceError):
            made.other = 2


def test_a_plain_class_below_adds_what_it_likes() -> None:
    for decorate in (dataclass(frozen=True), dataclasses.dataclass(frozen=True)):
        base = plain(decorate)

        class Below(base):
            """It is no dataclass."""

        made = Below(1)
        made.more = 4
        assert made.more == 4
        del made.more
        with pytest.raises(FrozenInstanceError):
            made.first = 2


def test_each_derives_from_the_other() -> None:
    ours, theirs = dataclass(frozen=True), dataclasses.dataclass(frozen=True)
    for upper, lower in ((ours, theirs), (theirs, ours)):

        class Lower(plain(upper)):
            """One field more."""

            last: float = 2.5

        made = lower(Lower)(4, last=1.5)
        assert vars(made) == {"first": 4, "second": "two", "last": 1.5}
        with pytest.raises(FrozenInstanceError):
            made.last = 2.0
        for mixed in (dataclass(), dataclasses.dataclass()):

            class Changing(plain(upper)):
                """Its base does not change."""

            with pytest.raises(TypeError, match="frozen"):
                mixed(Changing)


def with_two_to_give(decorate: Decorator) -> Any:
    class Three:
        """Two fields that have to be given."""

        first: int
        second: int
        third: int = 3

    return decorate(Three)


@pytest.mark.parametrize("made_before", [0, 9])
def test_mistakes_of_a_call_are_told_as_ever(made_before: int) -> None:
    mistakes: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"first": 1}),
        ((), {"second": 1, "third": 2}),
        ((1, 2, 3, 4), {}),
        ((1, 2), {"first": 2}),
        ((1, 2), {"new": 2}),
        ((1,), {"new": 2}),
    ]
    for given, words in mistakes:
        messages: list[str] = []
        for decorate in (dataclass(frozen=True), dataclasses.dataclass(frozen=True)):
            kind = with_two_to_give(decorate)
            for _ in range(made_before):
                assert vars(kind(1, third=5, second=4)) == {"first": 1, "second": 4, "third": 5}
            with pytest.raises(TypeError) as caught:
                kind(*given, **words)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_the_first_objects_are_made_as_later_ones() -> None:
    for options in OPTIONS:
        for kind in KINDS:
            ours = kind(dataclass(**options))
            for given in GIVEN[kind]:
                objects = [ours(*given) for _ in range(8)]
                assert len({repr(made) for made in objects}) == 1
                assert all(vars(made) == vars(objects[0]) for made in objects)
                assert list(vars(objects[0])) == [each.name for each in fields(ours)]
    listed = with_factory(dataclass)
    made = [listed(given=1).made for _ in range(8)]
    assert len(set(map(id, made))) == 8, "each has a list of its own"


def test_fields_are_set_as_the_class_sets_them() -> None:
    decorators: list[Decorator] = [dataclass, dataclasses.dataclass]
    for decorate in decorators:

        class Doubles:
            """It doubles what it is given."""

            value: int

            def __setattr__(self, name: str, value: int) -> None:
                object.__setattr__(self, name, 2 * value)

        kind = decorate(Doubles)
        assert [vars(kind(n)) for n in range(6)] == [{"value": 2 * n} for n in range(6)]


def test_what_a_class_checks_is_checked() -> None:
    with pytest.raises(ValueError, match="below zero"):
        with_methods(dataclass(frozen=True))(-1)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(field(init=False, default=1), id="init"),
        pytest.param(field(kw_only=True), id="kw_only"),
        pytest.param(field(hash=True), id="hash"),
    ],
)
def test_what_is_not_offered_is_refused(said: Any) -> None:
    class Odd:
        """One field."""

        value: int = said

    with pytest.raises(TypeError, match=r"Odd\.value needs the standard library's"):
        dataclass(Odd)


@dataclass(frozen=True)
class Kept:
    """What is pickled has to be found by its name."""

    value: int
    others: tuple[str, ...] = ()


def test_objects_are_pickled_before_any_is_made() -> None:
    empty_handed = Kept.__new__(Kept)
    assert "_LateInit" in type(vars(Kept)["__init__"]).__name__, "nobody has asked for it"
    assert vars(pickle.loads(pickle.dumps(empty_handed))) == {}
    made = Kept(3, ("a",))
    assert pickle.loads(pickle.dumps(made)) == made
    assert len({made, Kept(3, ("a",)), Kept(3)}) == 2

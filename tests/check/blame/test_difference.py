"""The lines that two texts do not share, whatever their values are called."""

from picograd.check.blame.difference import difference

BEFORE = """func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = pico.unary neg %x : tensor<3xf32>
  %1 = pico.unary neg %0 : tensor<3xf32>
  %2 = pico.unary exp %1 : tensor<3xf32>
  %3 = pico.unary sqrt %2 : tensor<3xf32>
  %h = pico.unary tanh %3 : tensor<3xf32>
  %h_1 = pico.unary tanh %h : tensor<3xf32>
  func.return %h_1 : tensor<3xf32>
}"""


def test_equal_texts_differ_nowhere() -> None:
    assert difference(BEFORE, BEFORE) == ("", "")


def test_other_numbers_are_no_difference() -> None:
    """Two ops less, and all that follow are called otherwise."""
    lines = BEFORE.splitlines()
    del lines[1:3]
    after = "\n".join(lines).replace("exp %1", "exp %x")
    after = after.replace("%2", "%0").replace("%3", "%1").replace("%h_1", "%h_7")
    old, new = difference(BEFORE, after)
    assert old.splitlines() == [
        "func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {",
        "  %0 = pico.unary neg %x : tensor<3xf32>",
        "  %1 = pico.unary neg %0 : tensor<3xf32>",
        "  %2 = pico.unary exp %1 : tensor<3xf32>",
        "  %3 = pico.unary sqrt %2 : tensor<3xf32>",
    ]
    assert new.splitlines() == [
        "func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {",
        "  %2 = pico.unary exp %x : tensor<3xf32>",
        "  %3 = pico.unary sqrt %2 : tensor<3xf32>",
    ]


def test_names_are_kept() -> None:
    """An op that does what an old one did is another one, when it is called otherwise."""
    old, new = difference("%c = max %y\n%d = mul %c\nend %d", "%0 = mul %y\n%d = max %0\nend %d")
    assert old == "%c = max %y\n%d = mul %c\nend %d"
    assert new == "%0 = mul %y\n%d = max %0\nend %d"


def test_swapped_operands_are_a_difference() -> None:
    text = "%a = first\n%b = second\n%0 = sub %a, %b\n%1 = use %0\n%2 = use %1\nend"
    old, new = difference(text, text.replace("sub %a, %b", "sub %b, %a"))
    assert old == "%b = second\n%0 = sub %a, %b\n%1 = use %0"
    assert new == "%b = second\n%0 = sub %b, %a\n%1 = use %0"


def test_new_values_get_names_that_are_free() -> None:
    """The new %0 is not the old one."""
    old, new = difference("%0 = a\n%1 = b %0\nend", "%0 = c\n%1 = a\n%2 = b %1\nend")
    assert old == "%0 = a"
    assert new == "%0+ = c\n%0 = a"


def test_what_lies_between_places_is_left_out() -> None:
    text = "\n".join(f"%v{n} = op{n}" for n in range(30))
    old, new = difference(text, text.replace("op5\n", "other\n").replace("op25\n", "other\n"))
    assert old.splitlines() == [
        "%v4 = op4", "%v5 = op5", "%v6 = op6", "…", "%v24 = op24", "%v25 = op25", "%v26 = op26",
    ]  # fmt: skip
    assert new.count("other") == 2


def test_long_texts_are_cut() -> None:
    old, new = difference("", "\n".join(f"%v{n} = op" for n in range(5000)))
    assert old == ""
    assert new.splitlines()[-1] == "… 4960 more lines"
    _, wide = difference("", "x" * 1000)
    assert len(wide) == 160 and wide.endswith("…")

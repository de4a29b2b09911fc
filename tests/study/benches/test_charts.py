"""Charts: what is in the files, and what is said of files that cannot be written."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from picograd.errors import OptionError
from picograd.study.benches import plots
from picograd.study.benches.charts import HEIGHT, WIDTH, Figure, Line, Panel, svg
from picograd.study.benches.dots import DotRow, Dots, dots_svg
from picograd.study.benches.plots import check_plot, write_plot


def random_figure(rng: np.random.Generator, panels: int) -> Figure:
    def line(name: str) -> Line:
        return Line(name, [(x, float(10 ** rng.uniform(-3, 4))) for x in (16, 64, 256)])

    return Figure(
        "a < b & c",
        "an adapter",
        [Panel(f"panel {n}", "width", "ms", [line("one"), line("two")]) for n in range(panels)],
    )


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_svg_holds_all_panels_within_their_axes(panels: int, rng: np.random.Generator) -> None:
    root = ET.fromstring(svg(random_figure(rng, panels)))
    space = {"s": "http://www.w3.org/2000/svg"}
    groups = root.findall("s:g", space)
    assert len(groups) == panels
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"a < b & c", "panel 0", "one", "two", "16", "256", "width", "ms"} <= texts
    for group in groups:
        circles = group.findall("s:circle", space)
        assert len(circles) == 6
        for circle in circles:
            assert 0 <= float(circle.attrib["cx"]) <= WIDTH
            assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_places_are_logarithmic() -> None:
    line = Line("a", [(1, 0.1), (10, 1.0), (100, 10.0)])
    text = svg(Figure("t", "s", [Panel("p", "x", "y", [line])]))
    x = [float(number) for number in re.findall(r'cx="([\d.]+)"', text)]
    y = [float(number) for number in re.findall(r'cy="([\d.]+)"', text)]
    assert math.isclose(x[1] - x[0], x[2] - x[1], abs_tol=0.2)
    assert math.isclose(y[0] - y[1], y[1] - y[2], abs_tol=0.2) and y[0] > y[2]


def test_one_point_and_crowded_names() -> None:
    lines = [Line(f"line {n}", [(8, 1.0)]) for n in range(6)]
    text = svg(Figure("t", "s", [Panel("p", "x", "y", lines)]))
    places = sorted(float(n) for n in re.findall(rf'<text x="{WIDTH + 10}" y="([\d.]+)"', text))
    assert len(places) == 6
    assert all(b - a > 14 for a, b in pairwise(places))


def test_files_are_written_as_their_suffix_says(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = random_figure(rng, 3)
    write_plot(figure, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text("utf-8") == svg(figure)
    with pytest.raises(OptionError, match="SVG or as PNG") as caught:
        write_plot(figure, tmp_path / "plot.pdf")
    assert "plot.svg" in caught.value.hint
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match="matplotlib") as caught:
        check_plot(tmp_path / "plot.png")
    assert "picograd[plots]" in caught.value.hint


def test_png(tmp_path: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    write_plot(random_figure(rng, 2), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_dots_stand_in_their_rows(rng: np.random.Generator, tmp_path: Path) -> None:
    names = ("a < b", "c")
    rows = [
        DotRow(f"row {n}", {name: float(10 ** rng.uniform(-1, 2)) for name in names}, 1.5)
        for n in range(4)
    ]
    figure = Dots("title & more", "subtitle", "×", rows)
    low, high = figure.range()
    assert low < 1 < high and 1 in figure.ticks() and all(low <= t <= high for t in figure.ticks())
    root = ET.fromstring(dots_svg(figure))
    space = {"s": "http://www.w3.org/2000/svg"}
    groups = root.findall("s:g", space)
    assert len(groups) == 4
    for group, row in zip(groups, rows, strict=True):
        places = [float(one.attrib["cx"]) for one in group.findall("s:circle", space)]
        in_order = [row.values[name] for name in names]
        assert (places[0] < places[1]) == (in_order[0] < in_order[1])
    write_plot(figure, tmp_path / "dots.svg")
    assert ET.parse(tmp_path / "dots.svg").getroot().find("s:title", space) is not None


def test_dots_as_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    figure = Dots("title", "subtitle", "×", [DotRow("row", {"a": 2.0}), DotRow("b", {"b": 0.5}, 1)])
    write_plot(figure, tmp_path / "dots.png")
    assert (tmp_path / "dots.png").read_bytes().startswith(b"\x89PNG")

"""Charts as files: SVG by picograd itself, PNG by matplotlib where that is installed."""

# matplotlib leaves the types of many of its arguments open.
# pyright: reportUnknownMemberType=false

from importlib.util import find_spec
from math import ceil
from pathlib import Path

from picograd.errors import OptionError
from picograd.study.benches.charts import COLUMNS, Figure, svg
from picograd.study.benches.dots import Dots, dots_svg

SUFFIXES = (".svg", ".png")


def check_plot(file: Path) -> None:
    """Raise OptionError unless `write_plot` can write such a file: ask before measuring."""
    if file.suffix not in SUFFIXES:
        raise OptionError(
            "a plot is written as SVG or as PNG",
            code="PG819",
            expected="a file that ends in " + " or ".join(SUFFIXES),
            found=str(file),
            hint=f"name it {file.with_suffix('.svg')}",
        )
    if file.suffix == ".png" and find_spec("matplotlib") is None:
        raise OptionError(
            "plots are written as PNG by matplotlib, which is not installed",
            code="PG819",
            expected="picograd with its extra `plots`",
            found=f"no module matplotlib, and {file} asked for",
            hint=f"pip install 'picograd[plots]', or write {file.with_suffix('.svg')}",
        )


def write_plot(figure: Figure | Dots, file: Path) -> None:
    """Write the figure as the file's suffix says. Raises what `check_plot` does."""
    check_plot(file)
    if file.suffix == ".svg":
        text = dots_svg(figure) if isinstance(figure, Dots) else svg(figure)
        file.write_text(text, encoding="utf-8")
    elif isinstance(figure, Dots):
        _write_dots(figure, file)
    else:
        _write_png(figure, file)


def _write_png(figure: Figure, file: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    rows = ceil(len(figure.panels) / COLUMNS)
    canvas = Canvas(figsize=(6 * COLUMNS, 3.8 * rows + 0.6), dpi=150, layout="constrained")
    canvas.suptitle(f"{figure.title}\n{figure.subtitle}")
    colors = figure.colors()
    for number, panel in enumerate(figure.panels):
        axes = canvas.add_subplot(rows, COLUMNS, number + 1)
        for line in panel.lines:
            axes.loglog(
                [x for x, _ in line.points],
                [y for _, y in line.points],
                "--o" if line.dashed else "-o",
                color=colors[line.name],
                label=line.name,
                markersize=4,
            )
        axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        axes.xaxis.set_major_locator(FixedLocator(panel.marks))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{mark:g}" for mark in panel.marks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(color="#e4e4e4")
        axes.legend(fontsize="small", frameon=False)
    FigureCanvasAgg(canvas).print_figure(file)


def _write_dots(figure: Dots, file: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    canvas = Canvas(figsize=(12, 0.28 * len(figure.rows) + 2.5), dpi=120, layout="constrained")
    axes = canvas.add_subplot()
    for name, color in figure.colors().items():
        places = [(row.values[name], y) for y, row in enumerate(figure.rows) if name in row.values]
        axes.scatter(
            [x for x, _ in places], [y for _, y in places], color=color, label=name, alpha=0.8
        )
    asked = [(row.asked, y) for y, row in enumerate(figure.rows) if row.asked]
    axes.scatter([x for x, _ in asked], [y for _, y in asked], marker="|", color="#333", s=120)
    axes.axvline(1, color="#999")
    axes.set_xscale("log")
    axes.set_xlim(*figure.range())
    axes.xaxis.set_major_locator(FixedLocator(figure.ticks()))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in figure.ticks()]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(figure.rows)), [row.label for row in figure.rows])
    axes.set_ylim(len(figure.rows) - 0.5, -0.5)
    axes.set(title=f"{figure.title}\n{figure.subtitle}", xlabel=figure.x_label)
    axes.grid(color="#e4e4e4")
    axes.set_axisbelow(True)
    canvas.legend(loc="outside lower center", ncols=4, frameon=False)
    FigureCanvasAgg(canvas).print_figure(file)

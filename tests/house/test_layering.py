"""Dependencies run one way, modules are imported at the top, files stay of a size one can read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from picograd.passes import PASSES

PACKAGE = Path(__file__).parents[2] / "picograd"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Each row may use the rows above it and its own package, nothing else.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("quick_dataclasses",),
    ("errors",),
    ("dialects",),
    ("semantics", "targets"),
    ("passes", "backends"),
    ("compiler",),
    ("frontend",),
    ("nn", "optim", "data", "io", "utils", "autograd", "func", "linalg", "cuda"),
    ("picograd",),  # the package's own __init__.py: what `import picograd` gives
    ("check", "study", "testing", "cli", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Within a row, these may use those: emitters ask the passes' analyses for the ranges of indices,
# optimizers update the parameters of modules, `func.functional_call` replaces them, and the tools
# on top, which nobody else uses, use one another.
PEERS = {
    ("backends", "passes"),
    ("optim", "nn"),
    ("io", "nn"),
    ("utils", "data"),
    ("func", "nn"),
    ("cli", "study"),
    ("cli", "check"),
    ("study", "check"),
    ("testing", "check"),
    ("__main__", "cli"),
}

# The same order inside of the packages that consist of folders: each row is files and folders.
FOLDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "frontend": (
        ("problems",),
        ("missing", "storage"),
        ("modes",),
        ("autodiff",),
        ("shown",),
        ("core",),
        ("fresh", "promotion"),
        ("plans",),
        ("methods",),
        ("tensor",),
        ("functions",),
        ("tracing",),
    ),
    "nn": (("functions",), ("functional", "init"), ("modules", "utils")),
    "compiler": (
        (
            "alone",
            "fast_entry",
            "garbage",
            "kernel_descriptions",
            "memory_picture",
            "records",
            "registry",
            "spelling",
            "verifier",
        ),
        ("diagnostics", "pass_list", "profile"),
        ("driver", "pipelines"),
        ("asked", "hoist_constants", "kernel_by_kernel", "verification"),
        ("in_parts",),
        ("dump", "validation"),
        ("report",),
        ("late",),
        ("kept",),
        ("build",),
        ("toolchain",),
        ("load_toolchain",),
        ("steps",),
        ("road",),
        ("executable",),
        ("extension", "self_test"),
        ("trust",),
    ),
    "check": (
        (
            "array_ops",
            "functions",
            "generation",
            "loop_samples",
            "oracle",
            "outcome",
            "rules",
            "soak",
            "standing",
        ),
        ("twins",),
        ("blame", "differential", "replay"),
        ("reduce",),
        ("fuzz", "meaning", "mutants"),
    ),
    "study": (
        ("pass_docs",),
        ("demos", "scaffold"),
        ("benches", "exercises", "tuning"),
        ("grader", "documentation"),
    ),
}

# The files that may import inside a function, and what for.
LAZY = {
    "backends/__init__.py": "llvmlite and wgpu load slowly, and one of them may be absent",
    "backends/llvm/device.py": "who finds programs on disk needs no emitter",
    "backends/wgsl/device.py": "who finds programs on disk needs no emitter",
    "backends/wgsl/runtime.py": "wgpu starts native code when it is imported",
    "compiler/late.py": "dumps, profiles and validation are rarely asked for, and large",
    "compiler/load_toolchain.py": "who finds programs on disk needs no pass; it takes long to load",
    "compiler/trust.py": "only GPUs are tried, with programs whose results the reference computes",
    "study/benches/plots.py": "matplotlib is an optional extra, and takes long to load",
    "cli/display.py": "rich takes longer to load than most commands take to run",
}

# Beside its docstring, whose examples may be as long as they need to be.
MAX_LINES_OF_A_PASS = 250
# Files are rarely longer than 400 lines; at this length they hold more than one idea.
MAX_LINES = 460


def layer_of(source: Path) -> str:
    parts = source.relative_to(PACKAGE).with_suffix("").parts
    return "picograd" if parts == ("__init__",) else parts[0]


def imported_modules(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and path, such as [picograd, nn, init], of every import of picograd's in the file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno}: a relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "picograd":
                yield node.lineno, name.split(".")


def imported_layers(source: Path) -> Iterator[tuple[int, str]]:
    """Line and layer of every import of picograd's own modules in the file."""
    for line, (_, *rest) in imported_modules(source):
        yield line, rest[0] if rest and rest[0] in RANK else "picograd"


def name_of(source: Path) -> str:
    return str(source.relative_to(PACKAGE))


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_dependencies_run_one_way(source: Path) -> None:
    own = layer_of(source)
    assert own in RANK, f"{own} has no place in the layering: give it one in this test"
    wrong = [
        f"line {line}: {own} uses {other}"
        for line, other in imported_layers(source)
        if other != own and RANK[other] >= RANK[own] and (own, other) not in PEERS
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("package", FOLDERS)
def test_folders_are_used_one_way(package: str) -> None:
    rank = {name: number for number, names in enumerate(FOLDERS[package]) for name in names}
    present = {
        path.stem
        for path in (PACKAGE / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert present - {"__init__"} == set(rank), "give each file and folder its place in this test"
    wrong = [
        f"{name_of(source)}:{line}: {own} uses {other}"
        for source in (PACKAGE / package).rglob("*.py")
        if (own := source.relative_to(PACKAGE / package).with_suffix("").parts[0]) != "__init__"
        for line, (_, *rest) in imported_modules(source)
        if rest[:1] == [package] and (other := (*rest, "")[1]) in rank
        if other != own and rank[other] >= rank[own]
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_imports_stand_at_the_top(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    inside = [
        f"line {node.lineno}"
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside or name_of(source) in LAZY, inside


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_dataclasses_are_quick(source: Path) -> None:
    """Those of the standard library take ten times as long to define, at each start."""
    text = source.read_text(encoding="utf-8")
    tree = ast.parse(text)
    slow = [
        f"line {node.lineno}: import it from picograd.quick_dataclasses"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
        if any(alias.name == "dataclass" for alias in node.names)
    ]
    assert not slow or layer_of(source) == "quick_dataclasses" or "slots=True" in text, slow


def test_the_lazy_imports_are_still_needed() -> None:
    assert {name for name in LAZY if not (PACKAGE / name).is_file()} == set()


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_files_can_be_read_in_one_sitting(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    is_pass = source.parent == PACKAGE / "passes" and source.stem in PASSES
    if is_pass:
        lines -= len((ast.get_docstring(ast.parse(text)) or "").splitlines())
    limit = MAX_LINES_OF_A_PASS if is_pass else MAX_LINES
    assert lines <= limit, f"{lines} lines, more than {limit}: split it by idea"


def test_the_folder_of_passes_shows_the_passes() -> None:
    """What a pass is made of stands in a folder beside it: a listing is the compiler's index."""
    files = {path.stem for path in (PACKAGE / "passes").glob("*.py")}
    assert files == {*PASSES, "__init__", "base"}


def test_modules_and_public_names_do_not_collide() -> None:
    """`picograd.compile` is a function, so no module at the package's top may have that name."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    public = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and node.module != "picograd"  # `from picograd import nn` names the module itself
        for alias in node.names
    }
    modules = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert len(public) > 0
    assert public & modules == set()

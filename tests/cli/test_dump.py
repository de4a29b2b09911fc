"""`picograd dump`: numbered files, one a pass, in which a reader can follow a name."""

import re
from pathlib import Path

import pytest

from picograd.cli.dump import find_target
from picograd.cli.files import UsageError
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.compiler.pipelines import pipeline

ROOT = Path(__file__).parents[2]

MODEL = """
import picograd as torch
from picograd import nn

def activate(x=torch.ones(4, 3), w=torch.ones(3, 2)):
    hidden = x @ w
    active = hidden.relu()
    return active

def no_examples(x, w=torch.ones(3, 2)):
    return x @ w

def wrong(x=torch.ones(4, 3), w=torch.ones(4, 2)):
    return x @ w

def raises(x=torch.ones(4, 3)):
    return x / undefined_name

linear = nn.Linear(3, 2)
number = 3
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("device", "suffixes"),
    [("cpu", {".ll", ".s"}), pytest.param("gpu", {".wgsl"}, marks=pytest.mark.gpu)],
)
def test_a_function_is_dumped_to_the_end_of_the_road(
    device: str, suffixes: set[str], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(["dump", f"{model}:activate", "--device", device, "--out", str(out)]) == 0
    files = sorted(path for path in out.rglob("*") if path.is_file())
    assert {path.suffix for path in files} >= {".mlir"} | suffixes
    numbered = [path for path in files if re.match(r"\d\d-", path.name)]
    for step in pipeline(device):
        assert any(step.name in path.name for path in numbered), f"no file for {step.name}"
    tensor = next(path for path in numbered if "canonicalize" in path.name)
    assert "%hidden" in tensor.read_text(encoding="utf-8")
    # From here on it is never stored, and the kernel says that it holds it.
    fused = next(path for path in numbered if "-fuse" in path.name)
    assert 'absorbs ["hidden"]' in fused.read_text(encoding="utf-8")


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_names_of_the_training_step_can_be_followed(device: str, tmp_path: Path) -> None:
    """Names of values that the backward pass reads again stay to the end of the road."""
    target = f"{ROOT / 'examples' / 'digits.py'}:train_step"
    assert main(["dump", target, "--device", device, "--out", str(tmp_path)]) == 0
    files = sorted(tmp_path.rglob("*.mlir"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    for name in ("hidden", "loss"):
        for path, text in zip(files, texts, strict=True):
            present = re.search(rf'%{name}\b|"{name}"|\b{name}\b', text)
            assert present, f"%{name} is lost in {path.name}"
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.suffix in {".s", ".wgsl"}
    )
    comment = "#" if device == "cpu" else "//"
    assert re.search(rf"{comment}.*\bloss\b", code)


def test_a_module_takes_the_inputs_beside_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no example inputs"):
        find_target(f"{model}:linear")
    beside = MODEL + "\nexample_inputs = (torch.ones(5, 3),)\n"
    model.write_text(beside, encoding="utf-8")
    out = tmp_path / "out"
    assert main(["dump", f"{model}:linear", "--out", str(out)]) == 0
    assert list(out.rglob("*.ll"))


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("{file}", ["cannot read the target", "file.py:function"]),
        ("{file}:activte", ["defines no 'activte'", "did you mean 'activate'?"]),
        ("{file}:number", ["cannot be compiled", "int"]),
        ("{file}:no_examples", ["has no example inputs", "no default for x"]),
        ("{file}:wrong", ["[4, 3]", "[4, 2]", "model.py"]),
        ("{file}:raises", ["NameError", "undefined_name", "model.py:17"]),
        ("missing.py:f", ["cannot read missing.py"]),
    ],
)
def test_mistakes_are_explained(
    target: str, parts: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dump", target.format(file=model), "--out", str(tmp_path / "out")]
    assert main(words) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    for part in parts:
        assert part in shown


def test_an_unknown_device_is_explained(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", f"{model}:activate", "--device", "tpu"]) == EXIT_MISTAKE
    assert "'cpu'" in capsys.readouterr().err


def test_other_processors_are_shown_beside_the_host(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["dump", f"{model}:linear", "--out", str(out), "--processor", "neoverse-v2"]
    model.write_text(MODEL + "\nlinear = nn.Linear(70, 50)\nexample_inputs = torch.ones(40, 70)\n")
    assert main([*words, "x86-64-v3"]) == 0
    assert "fmla\tv" in (out / "neoverse-v2.s").read_text(encoding="utf-8")
    assert "vfmadd" in (out / "x86-64-v3.s").read_text(encoding="utf-8")
    assert "<4 x float>" in (out / "neoverse-v2.ll").read_text(encoding="utf-8")
    shown = capsys.readouterr().out
    assert "neoverse-v2" in shown and "spills" in shown


def test_processors_are_cpus(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dump", f"{model}:activate", "--out", str(tmp_path / "out"), "--device", "reference"]
    assert main([*words, "--processor", "znver5"]) == EXIT_MISTAKE
    assert "--processor is about CPUs" in capsys.readouterr().err

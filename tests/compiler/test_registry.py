"""Installed passes: found by their entry point, imported when named, refused when they lie."""

import sys
from pathlib import Path

import pytest

import picograd
from picograd.cli.main import main
from picograd.compiler.pass_list import as_passes
from picograd.compiler.registry import GROUP, Registry
from picograd.errors import OptionError, PassError
from picograd.passes import PASSES

MODULE = '''
"""Replace the text."""

from dataclasses import dataclass
from typing import ClassVar

from picograd.dialects.tensor import UnaryOp
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class Mine(Pass):
    name: ClassVar[str] = "mine"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        for inner in list(op.walk()):
            if isinstance(inner, UnaryOp):
                inner.result.name_hint = "seen_by_mine"
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path, such as packages are installed in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_of_test", raising=False)
    (tmp_path / "mine_of_test.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def install(site: Path, package: str, **offers: str) -> None:
    """What pip leaves of a package: its metadata, with its entry points."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in offers.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")


def test_an_installed_pass_is_known_by_name_everywhere(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, "my_package", mine="mine_of_test:Mine")
    assert "mine_of_test" not in sys.modules
    assert list(Registry()) == [*PASSES, "mine"]
    assert "mine_of_test" not in sys.modules, "imported before anybody asked"
    (step,) = as_passes("mine")
    assert type(step).__module__ == "mine_of_test"

    compiled = picograd.compile(
        lambda x: x.exp(), device="cpu", passes=picograd.pipeline("cpu").after("dce", "mine")
    )
    compiled(picograd.ones(3, device="cpu"))
    assert "%seen_by_mine" in compiled.ir("kernel")

    model = site / "model.py"
    model.write_text("import picograd as torch\ndef f(x=torch.ones(3)):\n    return x.exp()\n")
    folder = site / "dump"
    words = ["dump", f"{model}:f", "--out", str(folder), "--insert", "mine before canonicalize"]
    assert main(words) == 0
    assert any("mine" in file.name for file in folder.rglob("*"))

    text = site / "model.mlir"
    text.write_text(
        "func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {\n"
        "  %y = pico.unary exp %x : tensor<3xf32>\n  func.return %y : tensor<3xf32>\n}\n"
    )
    capsys.readouterr()
    assert main(["opt", str(text), "--passes", "mine"]) == 0
    assert "%seen_by_mine" in capsys.readouterr().out
    assert main(["opt", "--list"]) == 0
    assert "mine  (tensor level)" in capsys.readouterr().out


def test_unknown_names_suggest_installed_ones(site: Path) -> None:
    install(site, "my_package", mine="mine_of_test:Mine")
    with pytest.raises(OptionError, match="did you mean 'mine'"):
        as_passes("mime")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mine", "mine_of_test:Absent", "cannot be imported: AttributeError"),
        ("mine", "no_such_module:Mine", "cannot be imported: ModuleNotFoundError"),
        ("mine", "mine_of_test:Level", "is no pass"),
        ("yours", "mine_of_test:Mine", "goes by another name"),
        ("dce", "mine_of_test:Mine", "'dce' is defined more than once"),
    ],
)
def test_an_installed_pass_that_lies_is_refused_when_named(
    site: Path, name: str, value: str, message: str
) -> None:
    install(site, "my_package", **{name: value})
    assert as_passes("cse")[0].name == "cse"
    with pytest.raises(PassError, match=message):
        as_passes(name)


def test_two_packages_cannot_offer_one_name(site: Path) -> None:
    install(site, "one", mine="mine_of_test:Mine")
    install(site, "two", mine="mine_of_test:Mine")
    with pytest.raises(PassError, match=r"more than once(.|\n)*one \(mine_of(.|\n)*two \(mine_of"):
        as_passes("mine")

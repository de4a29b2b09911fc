"""What loads when: an import brings neither passes nor emitters, compiling brings all."""

import subprocess
import sys

_PROGRAM = """
import sys
import picograd
late = ("picograd.passes", "picograd.compiler.driver", "picograd.compiler.validation", "llvmlite")
assert not [name for name in late if name in sys.modules], sorted(sys.modules)
picograd.ones(2)  # opens the device
later = (*late[:3], "picograd.backends.llvm.emit", "picograd.dialects.loop")
assert not [name for name in later if name in sys.modules], sorted(sys.modules)
assert picograd.pipeline("cpu") and picograd.explain and picograd.__version__
picograd.compile(lambda x: x * 2)(picograd.ones(2))
assert [name for name in later if name not in sys.modules] == ["picograd.compiler.validation"]
picograd.compile(lambda x: x * 3, check=True)(picograd.ones(2))
assert [name for name in later if name in sys.modules] == list(later)
"""


def test_what_loads_when() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", _PROGRAM], check=True, timeout=120)

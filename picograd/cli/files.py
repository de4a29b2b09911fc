"""Reading what the command line names: texts, and Python files with passes or models in them."""

import importlib.util
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType, TracebackType

from picograd.errors import PicogradError, locations_of


class UsageError(PicogradError):
    """Something on the command line that cannot be followed."""


def read_text(name: str) -> str:
    """The contents of a file; `-` is standard input. Raises UsageError when it cannot be read."""
    if name == "-" and sys.stdin is None:
        raise UsageError(
            "cannot read standard input",
            code="PG814",
            expected="text on standard input",
            found="it is closed",
            hint="pipe the text into the command, or name a file",
        )
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read {name}",
            code="PG814",
            expected="UTF-8 text",
            found=f"byte {error.start} is not",
            hint="check that it is the file you mean, and save it as UTF-8",
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read {name}",
            code="PG814",
            expected="a readable text file, or - for standard input",
            found=error.strerror or str(error),
            hint="check the path; it is relative to the folder that you stand in",
        ) from error


def load_python(name: str) -> ModuleType:
    """Run a Python file and return it as a module; its own folder is importable meanwhile.

    Raises UsageError when there is no such file, or when running it raises.
    """
    path = Path(name).resolve()
    if not path.is_file():
        raise UsageError(
            f"cannot read {name}",
            code="PG814",
            expected="a Python file",
            found="no such file",
            hint="check the path; it is relative to the folder that you stand in",
        )
    # Qualified, so that a file called `json.py` does not shadow the module of that name.
    spec = importlib.util.spec_from_file_location(f"picograd_loaded_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"cannot load {name}",
            code="PG814",
            expected="a file whose name ends in .py",
            found=path.name,
            hint="give the file a name that ends in .py",
        )
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up by its name while it is being loaded.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    try:
        with UserCode(path):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


class UserCode(AbstractContextManager[None]):
    """Runs code of the user's: what it raises becomes a UsageError that shows the user's line.

    picograd's own errors pass unchanged, for they explain themselves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A file that ends the process would end the command, and look like a success.
        if not isinstance(error, (Exception, SystemExit)) or isinstance(error, PicogradError):
            return
        if isinstance(error, SyntaxError) and error.lineno is not None:
            where = f"{error.filename}:{error.lineno}\n    {(error.text or '').strip()}"
        else:
            own = [place for place in locations_of(trace) if place.file == str(self.path)]
            where = str(own[-1]) if own else ""
        message = str(error) if not isinstance(error, SyntaxError) else error.msg
        raise UsageError(
            f"{self.path.name} raised {type(error).__name__}: {message}",
            code="PG815",
            expected="a file that can be run",
            found="an exception",
            hint="mend the file; `python " + self.path.name + "` shows the whole traceback",
            where=where or self.path,
        ) from error

"""One small program at each of the four levels, as the documentation shows it."""

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.passes import Level, Pass, level_of


class _Snapshots:
    """An instrument that keeps what a reader should see of each level.

    That is the last module of the level, except at loop level: there it is the first, the plain
    nest, because what follows depends on the machine.
    """

    def __init__(self, module: ModuleOp) -> None:
        self.texts = {Level.TENSOR: str(module)}

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Nothing: every module but the first is seen after a pass."""

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Keep the module's text under its level."""
        level = level_of(module)
        if level != Level.LOOP or level not in self.texts:
            self.texts[level] = str(module)


def levels_of(text: str) -> dict[Level, str]:
    """The IR of each level, from the text of a module at tensor level."""
    module = parse_module(text)
    snapshots = _Snapshots(module)
    passes = pipeline("cpu")
    lowered = [step.level_out for step in passes].index(Level.LOOP)
    run_pipeline(module, passes[: lowered + 1], instruments=[snapshots])
    return snapshots.texts

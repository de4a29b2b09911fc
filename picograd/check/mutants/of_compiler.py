"""Mutants of what holds the compiler together: driver, keys of caches, records."""

from picograd.check.mutants.killers import Differential, Modules, Samples
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault

OF_COMPILER = (
    Mutant(
        "stale_by_attributes",
        "picograd.dialects.structure_digest:_Writer.operation",
        "two modules that differ in a property share one executable",
        "words.append(self._attribute(op.properties[name]))",
        "words.append(0)",
        Differential("cpu", Modules(40, ("slice", "reduce", "unary"), sizes=(3,)), "cached"),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "stale_by_passes",
        "picograd.compiler.executable:compile_module",
        "a module compiled with other passes is taken for compiled",
        "key = (device, targets, passes_key, structure, asked.sanitize)",
        "key = (device, targets, structure, asked.sanitize)",
        Tests("tests/compiler/test_executable.py", "compiled_once", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "stale_in_eager_mode",
        "picograd.frontend.modes.eager:EagerMode.emit",
        "eager ops that differ in a property share one executable",
        "key = (op, types, tuple(properties.items()))",
        "key = (op, types)",
        Samples(("torch.flip", "torch.sum", "torch.permute")),
        Fault.CRASH,
    ),
    Mutant(
        "stale_by_tuning",
        "picograd.compiler.steps:Steps.spelled",
        "a program that was kept before its kernels were tuned is taken for a tuned one",
        'return "its own" + (f", tuned: {self._tuned}" if self._tuned else "")',
        'return "its own"',
        Tests("tests/compiler/kept/test_tuned.py", "remembered_is_followed", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "tuned_though_wrong",
        "picograd.study.tuning.search:_Search._right",
        "the fastest schedule is chosen, whatever it computes",
        "if comparison.excesses:",
        "if self._bench is None:",
        Tests("tests/study/tuning/test_search.py", "never_chosen", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "level_not_checked",
        "picograd.compiler.driver:_verify_after",
        "a pass may leave the module at a level that it did not declare",
        "if level != step.level_out and not stands_at(module, step.level_out):",
        "if module is None:",
        Tests("tests/compiler/test_driver.py", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "facts_not_required",
        "picograd.compiler.driver:_Run.check_place",
        "a pass may run before the one that it relies on",
        "missing = step.requires - self.facts",
        "missing = step.requires - step.requires",
        Tests("tests/compiler/test_driver.py", asserts=Fault.RULE),
        Fault.RULE,
    ),
)

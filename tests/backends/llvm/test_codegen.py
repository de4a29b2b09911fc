"""Code generation, and what the assembly of the hand-written product looks like."""

import ctypes

import pytest

from picograd.backends.llvm.codegen import Library, assembly, host, object_code, x86
from picograd.backends.llvm.inspect_assembly import blocks, inner_loops
from picograd.errors import CompileError

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %c = add i64 %a, %b\n  ret i64 %c\n}\n"


def test_text_becomes_code_that_runs():
    library = Library(object_code(ADD), ("add",))
    add = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(library.addresses["add"])
    assert add(40, 2) == 42


def test_symbols_come_from_the_process_or_from_imports():
    text = (
        "declare double @cos(double)\ndeclare i64 @other(i64, i64)\n"
        "define double @f(double %x) {\n  %y = call double @cos(double %x)\n"
        "  %n = call i64 @other(i64 1, i64 2)\n  %z = sitofp i64 %n to double\n"
        "  %s = fadd double %y, %z\n  ret double %s\n}\n"
    )
    first = Library(object_code(ADD), ("add",))
    second = Library(object_code(text), ("f",), {"other": first.addresses["add"]})
    f = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(second.addresses["f"])
    assert f(0.0) == 4.0


def test_errors_name_the_cause():
    with pytest.raises(CompileError, match="rejected the text") as caught:
        object_code("define i64 @broken( {")
    assert caught.value.code == "PG902"
    with pytest.raises(CompileError, match="link"):
        Library(
            object_code(
                "declare void @gone()\ndefine void @f() {\n  call void @gone()\n  ret void\n}"
            ),
            ("f",),
        )


@pytest.mark.parametrize(
    ("name", "register"), [("x86-64-v4", "zmm"), ("x86-64-v3", "ymm"), ("znver5", "zmm")]
)
def test_assembly_is_made_for_other_processors(name, register):
    text = (
        "define void @f(ptr %p) #0 {\n  %v = load <16 x float>, ptr %p\n"
        "  %w = fadd <16 x float> %v, %v\n  store <16 x float> %w, ptr %p\n  ret void\n}\n"
        'attributes #0 = { "prefer-vector-width"="512" "min-legal-vector-width"="512" }\n'
    )
    assert register in assembly(text, x86(name))
    assert "zmm" not in assembly(text, x86("x86-64-v3"))


def test_the_host_is_known():
    assert host().triple and host().name
    assert host().architecture in host().triple


def test_spills_and_scalar_arithmetic_are_seen():
    text = (
        "f:\n\tmovq\t%rsp, %rbp\n.LBB0_1:\n\tvmovups\t%zmm3, 64(%rsp)\n"
        "\tvfmadd231ps\t%zmm0, %zmm1, %zmm2\n\tvfmadd231ss\t%xmm0, %xmm1, %xmm2\n"
        "\tjl\t.LBB0_1\n.LBB0_2:\n\tretq\n"
    )
    assert len(blocks(text)) == 3
    (loop,) = inner_loops(text)
    assert (loop.fused, loop.scalar_fused, loop.vector_spills, loop.instructions) == (1, 1, 1, 4)

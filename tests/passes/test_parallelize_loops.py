import numpy as np
import pytest
from xdsl.parser import Parser

from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.dialects import new_context
from picograd.dialects.loop import ParallelOp
from picograd.passes.loops.work import Work
from picograd.passes.parallelize_loops import ParallelizeLoops
from picograd.semantics.evaluate import evaluate
from picograd.targets import lookup


def parse(text):
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def double(rows, columns, dims, body="%i, %j"):
    """A module that doubles a matrix, given the loop around the element."""
    memref = f"memref<{rows}x{columns}xf32>"
    return parse(f"""
      loop.kernel @k(%x: {memref}, %y: {memref}) {{
        {dims} {{
          %v = loop.load %x[{body}] : {memref}
          %d = arith.addf %v, %v : f32
          loop.store %d, %y[{body}] : f32, {memref}
        }}
      }}
      func.func @main(%x: {memref}, %y: {memref} {{buffer.output}}) {{
        loop.launch @k(%x, %y) : {memref}, {memref}
        func.return
      }}""")


def shared(module):
    """The loops that threads share."""
    loops = [op for op in module.walk() if isinstance(op, ParallelOp)]
    return [op for op in loops if op.mapping and op.mapping.data == "threads"]


def apply(module, **options):
    ParallelizeLoops(**options).apply(new_context(), module)
    module.verify()
    return module


def run(module, x, threads):
    cpu = CpuDevice(ThreadPool(threads))
    output = cpu.upload(np.full(x.shape, np.nan, np.float32))
    cpu.load(module).run([cpu.upload(x)], [output])
    cpu.pool.stop()
    return cpu.download(output)


NESTS = {
    "one loop": (400, 30, "loop.parallel (%i, %j) = (0, 0) to (400, 30)"),
    "few rows": (3, 4001, "loop.parallel (%i, %j) = (0, 0) to (3, 4001)"),
    "steps": (300, 40, "loop.parallel (%i, %j) = (0, 0) to (300, 40) step (1, 1)"),
}


@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize("grain", [1, 2, 20])
def test_chunks_cover_the_loop(name, grain, rng):
    rows, columns, dims = NESTS[name]
    module = apply(double(rows, columns, dims), grain=grain, serial_below=1)
    assert len(shared(module)) == 1
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    (wanted,) = evaluate(module, [x])
    assert (wanted == 2 * x).all()
    for threads in (1, 2, 5):
        assert run(module, x, threads).tobytes() == wanted.tobytes()


def test_chunks_depend_on_the_shape_alone():
    one = apply(double(400, 300, NESTS["one loop"][2].replace("30)", "300)")), target="cpu:cores=1")
    many = apply(
        double(400, 300, NESTS["one loop"][2].replace("30)", "300)")), target="cpu:cores=64"
    )
    assert str(one) == str(many)
    assert shared(one)


def test_little_work_stays_in_one_thread():
    module = double(8, 8, "loop.parallel (%i, %j) = (0, 0) to (8, 8)")
    before = str(module)
    assert str(apply(module)) == before


def test_a_second_run_changes_nothing():
    module = apply(double(400, 300, "loop.parallel (%i, %j) = (0, 0) to (400, 300)"))
    before = str(module)
    assert str(apply(module)) == before


def test_small_iterations_go_together_and_chunks_stay_enough():
    module = apply(double(100000, 1, "loop.parallel (%i, %j) = (0, 0) to (100000, 1)"))
    (loop,) = shared(module)
    work = Work(lookup("cpu"))
    assert 8 <= work.iterations(loop) <= 100
    (dim,) = loop.dims
    assert dim.name == "i_chunk" and dim.step > 1
    inner = next(op for op in loop.body.block.ops if isinstance(op, ParallelOp))
    assert [d.name for d in inner.dims] == ["i", "j"]


BLOCKED = """
  loop.kernel @k(%x: memref<4096x64xf32>, %y: memref<4096x64xf32>) {
    loop.for %pass = 0 to 2 {
      loop.parallel %i0 = 0 to 4096 step 2048 {
        loop.parallel %i = %i0 to min(%i0 + 2048, 4096) {
          loop.parallel %j = 0 to 64 {
            %v = loop.load %x[%i, %j] : memref<4096x64xf32>
            %e = math.exp %v : f32
            loop.store %e, %y[%i, %j] : f32, memref<4096x64xf32>
          }
        }
      }
    }
  }
  func.func @main(%x: memref<4096x64xf32>, %y: memref<4096x64xf32> {buffer.output}) {
    loop.launch @k(%x, %y) : memref<4096x64xf32>, memref<4096x64xf32>
    func.return
  }"""


def test_a_loop_of_two_blocks_leaves_the_sharing_to_the_loop_inside(rng):
    module = apply(parse(BLOCKED))
    (loop,) = shared(module)
    assert [dim.name for dim in loop.dims] == ["i_chunk"]
    assert isinstance(loop.parent_op(), ParallelOp)
    x = rng.standard_normal((4096, 64)).astype(np.float32)
    np.testing.assert_array_max_ulp(run(module, x, 3), np.exp(x), maxulp=2)


@pytest.mark.parametrize("between", [False, True])
def test_blocks_of_blocks_with_nothing_between_are_shared_as_one_loop(between, rng):
    """Where neither loop has enough of them. The bounds inside may not depend on the outer one."""
    end = "%i0 + 2048" if between else "64"
    module = parse(f"""
      loop.kernel @k(%x: memref<4096x64xf32>, %y: memref<4096x64xf32>) {{
        loop.parallel %i0 = 0 to 4096 step 2048 {{
          loop.parallel %j0 = 0 to min(64, {end}) step 32 {{
            loop.for %i = %i0 to %i0 + 2048 {{
              loop.parallel %j = %j0 to %j0 + 32 {{
                %v = loop.load %x[%i, %j] : memref<4096x64xf32>
                %e = math.exp %v : f32
                loop.store %e, %y[%i, %j] : f32, memref<4096x64xf32>
              }}
            }}
          }}
        }}
      }}
      func.func @main(%x: memref<4096x64xf32>, %y: memref<4096x64xf32> {{buffer.output}}) {{
        loop.launch @k(%x, %y) : memref<4096x64xf32>, memref<4096x64xf32>
        func.return
      }}""")
    (loop,) = shared(apply(module, target="cpu:cores=2"))
    names = [dim.name for dim in loop.dims]
    assert names == (["j0"] if between else ["i0", "j0"])
    x = rng.standard_normal((4096, 64)).astype(np.float32)
    np.testing.assert_array_max_ulp(run(module, x, 3), np.exp(x), maxulp=2)


@pytest.mark.parametrize(
    ("chunks", "cores", "outer"),
    [(6, 2, True), (5, 2, False), (2, 2, False), (6, 1, False), (6, 3, True), (6, 4, False)],
)
def test_a_few_large_chunks_are_enough_where_they_come_out_even(chunks, cores, outer, rng):
    memref = f"memref<{chunks}x40000xf32>"
    module = parse(f"""
      loop.kernel @k(%x: {memref}, %y: {memref}) {{
        loop.parallel %i = 0 to {chunks} {{
          loop.parallel %j = 0 to 40000 {{
            %v = loop.load %x[%i, %j] : {memref}
            %d = arith.addf %v, %v : f32
            loop.store %d, %y[%i, %j] : f32, {memref}
          }}
        }}
      }}
      func.func @main(%x: {memref}, %y: {memref} {{buffer.output}}) {{
        loop.launch @k(%x, %y) : {memref}, {memref}
        func.return
      }}""")
    apply(module, target=f"cpu:cores={cores}")
    (loop,) = shared(module)
    assert ([dim.extent for dim in loop.dims] == [chunks]) == outer
    x = rng.standard_normal((chunks, 40000)).astype(np.float32)
    np.testing.assert_array_equal(run(module, x, 2), 2 * x)


def test_reductions_and_branches_are_looked_into():
    text = BLOCKED.replace("loop.for %pass = 0 to 2 {", "loop.if 1 >= 0 {")
    assert len(shared(apply(parse(text)))) == 1

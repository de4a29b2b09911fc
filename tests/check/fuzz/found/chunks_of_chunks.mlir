// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,split_reduce{chunk=2 shortest=2},split_reduce{chunk=1 shortest=2},tile_loops{exact=true}
// device: cpu
// sanitize: true
// seed: --seed 2211 --only 2799 --devices cpu (made small in 14 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in tile_loops{exact=true}
//   pass tile_loops{exact=true} failed on loop.kernel: ValueError: zip() argument 2 is shorter than argument 1
//     expected: a pass that comes to its end
//     found: an exception at picograd/passes/tile_loops.py:225
//       replacements: dict[Leaf, LinearLike] = {
//                                              ^
//           argument: dim.lower
//           ^^^^^^^^^^^^^^^^^^^
//           for argument, dim, alone in zip(old, dims, single, strict=True)
//           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
//           if alone
//           ^^^^^^^^
//       }
//       ^
// input: dense<false> : tensor<4xi1>
builtin.module {
  func.func @main(%x0: tensor<4xi1> {pico.name = "x0"}) -> tensor<i1> {
    %hidden = pico.reduce and %x0 axes [0] : tensor<4xi1> -> tensor<i1>
    func.return %hidden : tensor<i1>
  }
}

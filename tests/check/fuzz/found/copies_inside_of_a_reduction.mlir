// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops{sizes="k=3"},stage_operands{operand="x" at="k0" layout="k=1" space="workgroup"},map_to_grid{target="gpu"},insert_barriers,vectorize_loops{target="gpu"},lower_reduce{target="gpu"},expand_math{target="gpu"},unroll_tiles{target="gpu"}
// device: gpu
// sanitize: false
// failure: CRASH in gpu
//   threads would read and write the same memory without a barrier between them
// input: dense<[[1.5, -2.0, 3.0, 0.5, -7.0], [0.25, 8.0, -1.0, 4.0, 2.0]]> : tensor<2x5xf32>
// input: dense<[[1.0, 2.0, -3.0], [0.5, 0.0, 4.0], [6.0, -1.0, 2.0], [3.0, 1.0, 1.0], [-2.0, 5.0, 0.75]]> : tensor<5x3xf32>
builtin.module {
  func.func @main(%x: tensor<2x5xf32> {pico.name = "x"}, %w: tensor<5x3xf32> {pico.name = "w"}) -> tensor<2x3xf32> {
    %0 = pico.matmul %x, %w : tensor<2x5xf32>, tensor<5x3xf32> -> tensor<2x3xf32>
    func.return %0 : tensor<2x3xf32>
  }
}

// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops{sizes="l=2 k=2 i=2"},hoist_reduce{loop="l0" above="i0"},stage_operands{target="gpu:storage_buffers=4,max_invocations=64,workgroup_bytes=512,l2_bytes=2048"},map_to_grid,insert_barriers,vectorize_loops{target="gpu"},lower_reduce,expand_math,unroll_tiles{target="gpu"}
// device: gpu
// sanitize: false
// failure: CRASH in gpu
//   workgroup memory cannot be allocated by one thread
//     expected: loops and memory that the threads of a workgroup can share
//     found: buffer m6_hidden_tile
// input: dense<0> : tensor<3x2x3xi32>
// input: dense<0> : tensor<3x3x2xi32>
builtin.module {
  func.func @main(%loss: tensor<3x2x3xi32> {pico.name = "loss"}, %hidden: tensor<3x3x2xi32> {pico.name = "hidden"}) -> tensor<3x2x2xi32> {
    %0 = pico.matmul %loss, %hidden : tensor<3x2x3xi32>, tensor<3x3x2xi32> -> tensor<3x2x2xi32>
    func.return %0 : tensor<3x2x2xi32>
  }
}

// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops{sizes="l=4 k=2 i=2"},hoist_reduce{target="gpu:storage_buffers=4,max_invocations=64,workgroup_bytes=512,l2_bytes=2048"},tile_loops{sizes="j=3 i=2" exact=true},map_to_grid{target="gpu"},insert_barriers,vectorize_loops{target="gpu"},lower_reduce{target="gpu"},expand_math{target="gpu"},unroll_tiles{target="gpu"}
// device: gpu
// sanitize: false
// failure: CRASH in gpu
//   a thread reaches into the part of a private buffer that another thread owns
//     expected: indices from 0 to 0 along axis 0
//     found: loop.store %0, %waiting[%i - %i0, t0] : vector<3xi32>, memref<2x3xi32, "private">
// input: dense<0.0> : tensor<3x3xf32>
builtin.module {
  func.func @main(%x0: tensor<3x3xf32> {pico.name = "x0"}) -> tensor<3x3xi32> {
    %loss = pico.argsort %x0 axis 1 as i32 : tensor<3x3xf32> -> tensor<3x3xi32>
    func.return %loss : tensor<3x3xi32>
  }
}

// picograd replay 1
// passes: legalize_types{target="gpu"},outline_kernels,fuse{target="gpu"},lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops{sizes="i=4" exact=true target="gpu"},tile_loops{sizes="j=2 i=2" exact=true target="gpu"},map_to_grid{target="gpu"},insert_barriers,vectorize_loops{target="gpu"},lower_reduce{target="gpu"},expand_math{target="gpu"},unroll_tiles{target="gpu"}
// device: gpu
// sanitize: false
// failure: CRASH in gpu
//   a loop mapped to lanes cannot stand here: one that vectorize_loops had left as it was
// input: dense<[7]> : tensor<1xi32>
builtin.module {
  func.func @main(%x: tensor<1xi32>) -> tensor<5x3xi32> {
    %y = pico.broadcast %x to [5, 3] : tensor<1xi32> -> tensor<5x3xi32>
    func.return %y : tensor<5x3xi32>
  }
}

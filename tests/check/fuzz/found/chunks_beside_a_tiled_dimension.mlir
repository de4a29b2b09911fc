// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,parallelize_loops{serial_below=0},tile_loops{sizes="j=2 k=4 i=2" exact=true}
// device: reference
// sanitize: false
// failure: MEMORY in tile_loops{sizes="j=2 k=4 i=2" exact=true}
//   pass tile_loops{sizes="j=2 k=4 i=2" exact=true} changes what @main does: what it made cannot be run: loop.store accesses %y out of bounds on axis 1
//     expected: 0 to 7, for a buffer of 2x8x2
//     found: 8
builtin.module {
  func.func @main() -> tensor<2x8x2xf32> {
    %0 = pico.constant dense<0.0> : tensor<2x8x2xf32>
    func.return %0 : tensor<2x8x2xf32>
  }
}

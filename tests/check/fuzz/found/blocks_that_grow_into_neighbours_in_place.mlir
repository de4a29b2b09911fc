// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,reuse_in_place,lower_buffers_to_loops,tile_loops{sizes="i=2"},tile_loops{sizes="i=3"},round_up_loops
// device: reference
// sanitize: false
// failure: VALUES in round_up_loops
//   elements were negated by two blocks
// input: dense<[1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<5xf32>
builtin.module {
  func.func @main(%x: tensor<5xf32> {pico.name = "x", pico.donated = 0 : i64}) -> tensor<5xf32> {
    %y = pico.unary neg %x : tensor<5xf32>
    func.return %y : tensor<5xf32>
  }
}

// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops{sizes="i=2"},tile_loops{sizes="i=3 j=3"},round_up_loops
// device: reference
// sanitize: true
// seed: --seed 14 --only 60 --devices gpu
// failure: MEMORY in round_up_loops
//   [PG713] pass round_up_loops changes what @main does: what it made cannot be run: two iterations of the parallel loop 'i0' race for an element of %loss
//     expected: iterations that leave alone what others touch
//     found:    iteration 0 does loop.store, iteration 1 stores to %loss[2, 0]
//     at:       these inputs:
builtin.module {
  func.func @main() -> tensor<3x2xi32> {
    %loss = pico.constant dense<0> : tensor<3x2xi32>
    func.return %loss : tensor<3x2xi32>
  }
}

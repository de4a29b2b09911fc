// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops
// device: reference
// sanitize: false
// seed: --seed 20261121 --only 40 --devices cpu
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.6, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in tile_loops
//   pass tile_loops failed on loop.kernel: ZeroDivisionError: integer division or modulo by zero
// input: dense<[[1.5], [-2.0]]> : tensor<2x1xf32>
builtin.module {
  func.func @main(%x: tensor<2x1xf32> {pico.name = "x"}) -> tensor<2x2xf32> {
    %0 = pico.slice %x from [0, 0] to [2, 0] step [1, 1] : tensor<2x1xf32> -> tensor<2x0xf32>
    %1 = pico.permute %0 by [1, 0] : tensor<2x0xf32> -> tensor<0x2xf32>
    %2 = pico.matmul %0, %1 : tensor<2x0xf32>, tensor<0x2xf32> -> tensor<2x2xf32>
    func.return %2 : tensor<2x2xf32>
  }
}

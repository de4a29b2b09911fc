// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops
// device: reference
// sanitize: false
// seed: --seed 777 --only 6205 --devices reference
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in lower_buffers_to_loops
//   pass lower_buffers_to_loops failed on pico.cast: OverflowError: float too large to pack with e format
// input: dense<[0x7C00, 0xFC00, 0x7E00, 65504.0, -65504.0, 1.9]> : tensor<6xf16>
builtin.module {
  func.func @main(%x0: tensor<6xf16>) -> (tensor<6xi32>, tensor<6xi64>) {
    %0 = pico.cast %x0 to i32 : tensor<6xf16> -> tensor<6xi32>
    %1 = pico.cast %x0 to i64 : tensor<6xf16> -> tensor<6xi64>
    func.return %0, %1 : tensor<6xi32>, tensor<6xi64>
  }
}

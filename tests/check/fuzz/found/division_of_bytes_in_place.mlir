// picograd replay 1
// passes: outline_kernels,lower_kernels_to_buffers,reuse_in_place
// device: reference
// sanitize: false
// seed: --seed 20261121 --only 226 --devices reference (made small in 12 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.6, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in reuse_in_place
//   pass reuse_in_place failed on buffer.kernel: VerifyException: Integer value -1 is out of range for type ui8 which supports values in the range [0, 256)
//     expected: a pass that comes to its end
//     found: an exception at <string>:3
// input: dense<0> : tensor<ui8>
// input: dense<0> : tensor<ui8>
builtin.module {
  func.func @main(%x0: tensor<ui8> {pico.name = "x0", pico.donated = 0 : i64}, %x1: tensor<ui8> {pico.name = "x1"}) -> tensor<ui8> {
    %0 = pico.binary floordiv %x0, %x1 : tensor<ui8>
    func.return %0 : tensor<ui8>
  }
}

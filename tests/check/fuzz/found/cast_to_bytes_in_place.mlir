// picograd replay 1
// passes: outline_kernels,fuse,lower_kernels_to_buffers,reuse_in_place
// device: reference
// sanitize: false
// seed: --seed 4242 --only 6826 --devices reference (made small in 5 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in reuse_in_place
//   pass reuse_in_place failed on buffer.kernel: VerifyException: Integer value -128 is out of range for type ui8 which supports values in the range [0, 256)
//     expected: a pass that comes to its end
// input: dense<0> : tensor<i32>
// input: dense<0.0> : tensor<f32>
// input: dense<0> : tensor<i32>
builtin.module {
  func.func @main(%x2: tensor<i32> {pico.name = "x2", pico.donated = 0 : i64}, %loss: tensor<f32> {pico.name = "loss"}, %x2_: tensor<i32> {pico.name = "x2_"}) -> (tensor<i32>, tensor<i32>, tensor<ui8>) {
    %hidden = pico.cast %loss to ui8 : tensor<f32> -> tensor<ui8>
    func.return %x2_, %x2, %hidden : tensor<i32>, tensor<i32>, tensor<ui8>
  }
}

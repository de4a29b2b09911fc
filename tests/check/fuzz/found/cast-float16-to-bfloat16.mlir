// picograd replay 1
// passes: outline_kernels
// device: cpu
// sanitize: true
// seed: --seed 2026 --only 827 --devices cpu (made small in 6 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in cpu
//   LLVM rejected the text that the emitter produced
//     expected: LLVM IR that verifies
//     found: LLVM IR parsing error
//   <string>:36:19: error: invalid cast opcode for cast from 'half' to 'bfloat'
//     %v.12 = fptrunc half %v.11 to bfloat
//                     ^
// input: dense<0.0> : tensor<f16>
builtin.module {
  func.func @main(%x0: tensor<f16> {pico.name = "x0"}) -> tensor<bf16> {
    %0 = pico.cast %x0 to bf16 : tensor<f16> -> tensor<bf16>
    func.return %0 : tensor<bf16>
  }
}

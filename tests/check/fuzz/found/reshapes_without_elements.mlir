// picograd replay 1
// passes: outline_kernels,fuse
// device: reference
// sanitize: false
// seed: --seed 777 --only 2791 --devices reference
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: CRASH in fuse
//   pass fuse failed on pico.reshape: IndexError: list index out of range
// input: dense<false> : tensor<1xi1>
builtin.module {
  func.func @main(%hidden: tensor<1xi1> {pico.name = "hidden"}) -> (tensor<0xi1>, tensor<3x0xi1>) {
    %hidden_1 = pico.binary or %hidden, %hidden : tensor<1xi1>
    %loss = pico.slice %hidden_1 from [1] to [1] step [1] : tensor<1xi1> -> tensor<0xi1>
    %0 = pico.reshape %loss to [3, 0] : tensor<0xi1> -> tensor<3x0xi1>
    %1 = pico.reshape %0 to [0] : tensor<3x0xi1> -> tensor<0xi1>
    func.return %1, %0 : tensor<0xi1>, tensor<3x0xi1>
  }
}

// picograd replay 1
// passes: outline_kernels,fuse,lower_kernels_to_buffers,lower_buffers_to_loops
// device: reference
// sanitize: false
// seed: --seed 31337 --only 4621 --devices gpu (made small in 39 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in lower_buffers_to_loops
//   pass lower_buffers_to_loops changes what @main does: result 0, %hidden, differs at [0]
//     expected: 4.0 ± 0
//     found: 1.0 (beyond its budget; 1 wrong elements of 20)
// input: dense<[[1.0], [0.0]]> : tensor<2x1xf32>
builtin.module {
  func.func @main(%x0: tensor<2x1xf32> {pico.name = "x0"}) -> (tensor<2xf32>, tensor<3x2x2xf32>, tensor<2xf32>, tensor<2x2xf32>) {
    %0 = pico.reduce max %x0 axes [1] : tensor<2x1xf32> -> tensor<2xf32>
    %hidden = pico.reshape %0 to [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
    %loss = pico.broadcast %hidden to [2, 2] : tensor<2x1xf32> -> tensor<2x2xf32>
    %loss_1 = pico.reduce add %loss axes [1] : tensor<2x2xf32> -> tensor<2xf32>
    %loss_2 = pico.reshape %loss_1 to [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
    %loss_3 = pico.broadcast %loss_2 to [2, 2] : tensor<2x1xf32> -> tensor<2x2xf32>
    %hidden_1 = pico.broadcast %loss_3 to [3, 2, 2] : tensor<2x2xf32> -> tensor<3x2x2xf32>
    %hidden_2 = pico.reduce mul %loss_3 axes [1] : tensor<2x2xf32> -> tensor<2xf32>
    func.return %hidden_2, %hidden_1, %0, %loss_3 : tensor<2xf32>, tensor<3x2x2xf32>, tensor<2xf32>, tensor<2x2xf32>
  }
}

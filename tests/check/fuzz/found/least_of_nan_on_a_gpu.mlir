// picograd replay 1
// passes:
// device: gpu
// sanitize: false
// seed: --seed 90210 --only 5331 --devices gpu (made small in 2 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in gpu
//   no index is out of range, and it says: index 2147483647 read from a tensor is out of range for an axis of size 2
//   blame: IndexOutOfRange: [PG121] index 2147483647 read from a tensor is out of range for an axis of size 3
//     expected: 0 <= index < 3
//     found:    2147483647
//     help:     check the labels or indices that gather, scatter or embedding are given
//     at:       kernel @scalars on the GPU (reported at the first read-back after it)
// input: dense<0.0> : tensor<f32>
// input: dense<"0x0000C07F"> : tensor<f32>
builtin.module {
  func.func @main(%x0: tensor<f32> {pico.name = "x0"}, %x1: tensor<f32> {pico.name = "x1"}) -> tensor<1xf32> {
    %loss = pico.binary add %x1, %x0 : tensor<f32>
    %hidden = pico.broadcast %loss to [2] : tensor<f32> -> tensor<2xf32>
    %0 = pico.argreduce min %hidden axis 0 as i32 : tensor<2xf32> -> tensor<i32>
    %hidden_1 = pico.reshape %0 to [1] : tensor<i32> -> tensor<1xi32>
    %loss_1 = pico.gather %hidden at %hidden_1 axis 0 : tensor<2xf32>, tensor<1xi32> -> tensor<1xf32>
    func.return %loss_1 : tensor<1xf32>
  }
}

// picograd replay 1
// passes:
// device: gpu
// sanitize: true
// seed: --seed 90210 --only 1624 --devices gpu (made small in 5 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in gpu
//   output 0 at []: expected nan ± 0, found 0.0
// input: dense<"0x0000C07F"> : tensor<f32>
// input: dense<0.0> : tensor<f32>
builtin.module {
  func.func @main(%x0: tensor<f32> {pico.name = "x0"}, %x1: tensor<f32> {pico.name = "x1"}) -> tensor<f32> {
    %0 = pico.compare ge %x1, %x0 : tensor<f32> -> tensor<i1>
    %1 = pico.select %0, %x1, %x0 : tensor<i1>, tensor<f32>
    func.return %1 : tensor<f32>
  }
}

// picograd replay 1
// passes:
// device: gpu
// sanitize: false
// seed: --seed 20261125 --only 3260 --devices gpu
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.6, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in gpu
//   output 0 at []: expected -0.2603308487894155 ± 1.58e-08, found -0.26033082604408264
// input: dense<-0.4320889> : tensor<f32>
// input: dense<-1.3943744> : tensor<f32>
builtin.module {
  func.func @main(%x1: tensor<f32> {pico.name = "x1", pico.donated = 0 : i64}, %x3: tensor<f32> {pico.name = "x3"}) -> tensor<f32> {
    %hidden = pico.binary mul %x1, %x3 : tensor<f32>
    %loss = pico.binary mul %hidden, %x1 : tensor<f32>
    func.return %loss : tensor<f32>
  }
}

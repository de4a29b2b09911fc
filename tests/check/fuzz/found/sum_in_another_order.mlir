// picograd replay 1
// passes:
// device: gpu
// sanitize: true
// seed: --seed 20261121 --only 61 --devices gpu
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.6, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in gpu
//   output 5 at [0]: expected -4.016696292907 ± 2.8e-07, found -4.016695976257324
// input: dense<[-0.016696293, 1.0]> : tensor<2xf32>
builtin.module {
  func.func @main(%x0: tensor<2xf32> {pico.name = "x0", pico.donated = 0 : i64}) -> (tensor<2xf32>, tensor<2xf32>, tensor<f32>, tensor<2xf32>, tensor<2x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
    %0 = pico.broadcast %x0 to [2, 2] : tensor<2xf32> -> tensor<2x2xf32>
    %hidden = pico.constant dense<-3.0> : tensor<f32>
    %hidden_1 = pico.broadcast %hidden to [2] : tensor<f32> -> tensor<2xf32>
    %loss = pico.binary maximum %x0, %hidden_1 : tensor<2xf32>
    %1 = pico.constant dense<3.0> : tensor<f32>
    %loss_1 = pico.broadcast %1 to [2] : tensor<f32> -> tensor<2xf32>
    %2 = pico.binary minimum %loss, %loss_1 : tensor<2xf32>
    %hidden_2 = pico.constant dense<0.125> : tensor<f32>
    %loss_2 = pico.broadcast %hidden_2 to [2] : tensor<f32> -> tensor<2xf32>
    %3 = pico.binary mul %2, %loss_2 : tensor<2xf32>
    %4 = pico.constant dense<1.0> : tensor<f32>
    %5 = pico.broadcast %4 to [2] : tensor<f32> -> tensor<2xf32>
    %6 = pico.binary add %3, %5 : tensor<2xf32>
    %7 = pico.scan mul %6 axis 0 exclusive : tensor<2xf32>
    %hidden_3 = pico.broadcast %7 to [2, 2] : tensor<2xf32> -> tensor<2x2xf32>
    %8 = pico.broadcast %4 to [1] : tensor<f32> -> tensor<1xf32>
    %loss_3 = pico.broadcast %hidden_2 to [2] : tensor<f32> -> tensor<2xf32>
    %hidden_4 = pico.broadcast %hidden to [2] : tensor<f32> -> tensor<2xf32>
    %hidden_5 = pico.constant dense<-3.0> : tensor<f32>
    %9 = pico.broadcast %hidden_5 to [2] : tensor<f32> -> tensor<2xf32>
    %10 = pico.binary maximum %loss_2, %9 : tensor<2xf32>
    %11 = pico.constant dense<3.0> : tensor<f32>
    %loss_4 = pico.broadcast %11 to [2] : tensor<f32> -> tensor<2xf32>
    %hidden_6 = pico.binary minimum %10, %loss_4 : tensor<2xf32>
    %12 = pico.unary abs %hidden_6 : tensor<2xf32>
    %hidden_7 = pico.constant dense<0.5> : tensor<f32>
    %13 = pico.broadcast %hidden_7 to [2] : tensor<f32> -> tensor<2xf32>
    %14 = pico.binary add %12, %13 : tensor<2xf32>
    %hidden_8 = pico.constant dense<-3.0> : tensor<f32>
    %loss_5 = pico.broadcast %hidden_8 to [2] : tensor<f32> -> tensor<2xf32>
    %loss_6 = pico.binary maximum %hidden_4, %loss_5 : tensor<2xf32>
    %hidden_9 = pico.constant dense<3.0> : tensor<f32>
    %15 = pico.broadcast %hidden_9 to [2] : tensor<f32> -> tensor<2xf32>
    %loss_7 = pico.binary minimum %loss_6, %15 : tensor<2xf32>
    %loss_8 = pico.binary pow %14, %loss_7 : tensor<2xf32>
    %loss_9 = pico.binary sub %hidden_7, %hidden_7 : tensor<f32>
    %16 = pico.constant dense<-3.0> : tensor<f32>
    %hidden_10 = pico.broadcast %16 to [2] : tensor<f32> -> tensor<2xf32>
    %17 = pico.binary maximum %loss_4, %hidden_10 : tensor<2xf32>
    %loss_10 = pico.constant dense<3.0> : tensor<f32>
    %loss_11 = pico.broadcast %loss_10 to [2] : tensor<f32> -> tensor<2xf32>
    %loss_12 = pico.binary minimum %17, %loss_11 : tensor<2xf32>
    %loss_13 = pico.unary cos %loss_12 : tensor<2xf32>
    %18 = pico.broadcast %17 to [2, 2] : tensor<2xf32> -> tensor<2x2xf32>
    %hidden_11 = pico.reduce max %x0 axes [0] : tensor<2xf32> -> tensor<f32>
    %hidden_12 = pico.reshape %hidden_11 to [1] : tensor<f32> -> tensor<1xf32>
    %hidden_13 = pico.broadcast %hidden_12 to [2] : tensor<1xf32> -> tensor<2xf32>
    %hidden_14 = pico.binary sub %x0, %hidden_13 : tensor<2xf32>
    %19 = pico.binary add %loss_7, %hidden_14 : tensor<2xf32>
    %hidden_15 = pico.reduce max %hidden_13 axes [0] : tensor<2xf32> -> tensor<f32>
    %20 = pico.reshape %hidden_15 to [1] : tensor<f32> -> tensor<1xf32>
    %loss_14 = pico.broadcast %20 to [2] : tensor<1xf32> -> tensor<2xf32>
    %21 = pico.binary sub %hidden_13, %loss_14 : tensor<2xf32>
    func.return %21, %loss_8, %loss_9, %loss_13, %18, %19, %loss_3, %hidden_6 : tensor<2xf32>, tensor<2xf32>, tensor<f32>, tensor<2xf32>, tensor<2x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
  }
}

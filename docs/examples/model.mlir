builtin.module {
  func.func @main(%images: tensor<4x6x10xf32> {pico.name = "images"}, %left: tensor<6x10xf32> {pico.name = "left"}, %right: tensor<6x10xf32> {pico.name = "right"}, %weight: tensor<60x8xf32> {pico.name = "weight"}, %bias: tensor<8xf32> {pico.name = "bias"}) -> (tensor<4x8xf32>, tensor<f32>) {
    %0 = pico.broadcast %left to [4, 6, 10] {at = "model.py:16"} : tensor<6x10xf32> -> tensor<4x6x10xf32>
    %1 = pico.binary sub %images, %0 {at = "model.py:16"} : tensor<4x6x10xf32>
    %to_left = pico.unary abs %1 {at = "model.py:16"} : tensor<4x6x10xf32>
    %2 = pico.broadcast %right to [4, 6, 10] {at = "model.py:17"} : tensor<6x10xf32> -> tensor<4x6x10xf32>
    %3 = pico.binary sub %images, %2 {at = "model.py:17"} : tensor<4x6x10xf32>
    %to_right = pico.unary abs %3 {at = "model.py:17"} : tensor<4x6x10xf32>
    %4 = pico.unary neg %to_left {at = "model.py:19"} : tensor<4x6x10xf32>
    %5 = pico.unary neg %to_right {at = "model.py:19"} : tensor<4x6x10xf32>
    %6 = pico.binary maximum %4, %5 {at = "model.py:19"} : tensor<4x6x10xf32>
    %nearer = pico.unary neg %6 {at = "model.py:19"} : tensor<4x6x10xf32>
    %7 = pico.reduce add %images axes [0] {at = "model.py:20"} : tensor<4x6x10xf32> -> tensor<6x10xf32>
    %brightness = pico.reduce add %7 axes [0] {at = "model.py:20"} : tensor<6x10xf32> -> tensor<10xf32>
    %8 = pico.binary mul %nearer, %nearer {at = "model.py:21"} : tensor<4x6x10xf32>
    %9 = pico.reduce add %8 axes [1, 2] {at = "model.py:21"} : tensor<4x6x10xf32> -> tensor<4xf32>
    %per_image = pico.unary sqrt %9 {at = "model.py:21"} : tensor<4xf32>
    %10 = pico.reshape %nearer to [24, 10] {at = "model.py:24"} : tensor<4x6x10xf32> -> tensor<24x10xf32>
    %11 = pico.reduce add %10 axes [1] {at = "model.py:24"} : tensor<24x10xf32> -> tensor<24xf32>
    %12 = pico.constant dense<10.0> : tensor<24xf32> {at = "model.py:24"}
    %13 = pico.binary div %11, %12 {at = "model.py:24"} : tensor<24xf32>
    %14 = pico.reshape %13 to [24, 1] {at = "model.py:24"} : tensor<24xf32> -> tensor<24x1xf32>
    %15 = pico.broadcast %14 to [24, 10] {at = "model.py:24"} : tensor<24x1xf32> -> tensor<24x10xf32>
    %rows = pico.binary sub %10, %15 {at = "model.py:24"} : tensor<24x10xf32>
    %16 = pico.reshape %nearer to [24, 10] {at = "model.py:25"} : tensor<4x6x10xf32> -> tensor<24x10xf32>
    %flat = pico.reshape %16 to [4, 60] {at = "model.py:25"} : tensor<24x10xf32> -> tensor<4x60xf32>
    %17 = pico.matmul %flat, %weight {at = "model.py:25"} : tensor<4x60xf32>, tensor<60x8xf32> -> tensor<4x8xf32>
    %18 = pico.broadcast %bias to [4, 8] {at = "model.py:25"} : tensor<8xf32> -> tensor<4x8xf32>
    %19 = pico.binary add %17, %18 {at = "model.py:25"} : tensor<4x8xf32>
    %hidden = pico.unary tanh %19 {at = "model.py:25"} : tensor<4x8xf32>
    %20 = pico.reduce max %hidden axes [1] {at = "model.py:26"} : tensor<4x8xf32> -> tensor<4xf32>
    %21 = pico.reshape %20 to [4, 1] {at = "model.py:26"} : tensor<4xf32> -> tensor<4x1xf32>
    %22 = pico.broadcast %21 to [4, 8] {at = "model.py:26"} : tensor<4x1xf32> -> tensor<4x8xf32>
    %23 = pico.binary sub %hidden, %22 {at = "model.py:26"} : tensor<4x8xf32>
    %24 = pico.unary exp %23 {at = "model.py:26"} : tensor<4x8xf32>
    %25 = pico.reduce add %24 axes [1] {at = "model.py:26"} : tensor<4x8xf32> -> tensor<4xf32>
    %26 = pico.constant dense<1.0> : tensor<4xf32> {at = "model.py:26"}
    %27 = pico.binary div %26, %25 {at = "model.py:26"} : tensor<4xf32>
    %28 = pico.reshape %27 to [4, 1] {at = "model.py:26"} : tensor<4xf32> -> tensor<4x1xf32>
    %29 = pico.broadcast %28 to [4, 8] {at = "model.py:26"} : tensor<4x1xf32> -> tensor<4x8xf32>
    %chances = pico.binary mul %24, %29 {at = "model.py:26"} : tensor<4x8xf32>
    %30 = pico.binary mul %rows, %rows {at = "model.py:27"} : tensor<24x10xf32>
    %31 = pico.reduce add %30 axes [0, 1] {at = "model.py:27"} : tensor<24x10xf32> -> tensor<f32>
    %32 = pico.constant dense<240.0> : tensor<f32> {at = "model.py:27"}
    %spread = pico.binary div %31, %32 {at = "model.py:27"} : tensor<f32>
    %33 = pico.unary exp %brightness {at = "model.py:28"} : tensor<10xf32>
    %34 = pico.reduce add %33 axes [0] {at = "model.py:28"} : tensor<10xf32> -> tensor<f32>
    %35 = pico.unary log %34 {at = "model.py:28"} : tensor<f32>
    %36 = pico.reduce add %brightness axes [0] {at = "model.py:28"} : tensor<10xf32> -> tensor<f32>
    %37 = pico.constant dense<10.0> : tensor<f32> {at = "model.py:28"}
    %38 = pico.binary div %36, %37 {at = "model.py:28"} : tensor<f32>
    %contrast = pico.binary sub %35, %38 {at = "model.py:28"} : tensor<f32>
    %39 = pico.reshape %per_image to [4, 1] {at = "model.py:29"} : tensor<4xf32> -> tensor<4x1xf32>
    %40 = pico.broadcast %39 to [4, 8] {at = "model.py:29"} : tensor<4x1xf32> -> tensor<4x8xf32>
    %41 = pico.binary mul %chances, %40 {at = "model.py:29"} : tensor<4x8xf32>
    %42 = pico.binary add %contrast, %spread {at = "model.py:29"} : tensor<f32>
    func.return %41, %42 : tensor<4x8xf32>, tensor<f32>
  }
}

builtin.module {
  func.func @main(%x: tensor<64x64xf32> {pico.name = "x"}, %y: tensor<64xi64> {pico.name = "y"}, %model_0_weight: tensor<128x64xf32> {pico.name = "model_0_weight"}, %model_0_bias: tensor<128xf32> {pico.name = "model_0_bias"}, %model_2_weight: tensor<64x128xf32> {pico.name = "model_2_weight"}, %model_2_bias: tensor<64xf32> {pico.name = "model_2_bias"}, %model_4_weight: tensor<10x64xf32> {pico.name = "model_4_weight"}, %model_4_bias: tensor<10xf32> {pico.name = "model_4_bias"}, %step: tensor<f32> {pico.name = "step"}, %bias_correction1: tensor<f32> {pico.name = "bias_correction1"}, %bias_correction2: tensor<f32> {pico.name = "bias_correction2"}, %lr: tensor<f32> {pico.name = "lr"}, %model_0_weight_exp_avg: tensor<128x64xf32> {pico.name = "model_0_weight_exp_avg"}, %model_0_weight_exp_avg_sq: tensor<128x64xf32> {pico.name = "model_0_weight_exp_avg_sq"}, %model_0_bias_exp_avg: tensor<128xf32> {pico.name = "model_0_bias_exp_avg"}, %model_0_bias_exp_avg_sq: tensor<128xf32> {pico.name = "model_0_bias_exp_avg_sq"}, %model_2_weight_exp_avg: tensor<64x128xf32> {pico.name = "model_2_weight_exp_avg"}, %model_2_weight_exp_avg_sq: tensor<64x128xf32> {pico.name = "model_2_weight_exp_avg_sq"}, %model_2_bias_exp_avg: tensor<64xf32> {pico.name = "model_2_bias_exp_avg"}, %model_2_bias_exp_avg_sq: tensor<64xf32> {pico.name = "model_2_bias_exp_avg_sq"}, %model_4_weight_exp_avg: tensor<10x64xf32> {pico.name = "model_4_weight_exp_avg"}, %model_4_weight_exp_avg_sq: tensor<10x64xf32> {pico.name = "model_4_weight_exp_avg_sq"}, %model_4_bias_exp_avg: tensor<10xf32> {pico.name = "model_4_bias_exp_avg"}, %model_4_bias_exp_avg_sq: tensor<10xf32> {pico.name = "model_4_bias_exp_avg_sq"}) -> (tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<128x64xf32>, tensor<128x64xf32>, tensor<128x64xf32>, tensor<128xf32>, tensor<128xf32>, tensor<128xf32>, tensor<64x128xf32>, tensor<64x128xf32>, tensor<64x128xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<10x64xf32>, tensor<10x64xf32>, tensor<10x64xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<128x64xf32>, tensor<128xf32>, tensor<64x128xf32>, tensor<64xf32>, tensor<10x64xf32>, tensor<10xf32>) {
    %0 = pico.permute %model_0_weight by [1, 0] {at = "train.py:10"} : tensor<128x64xf32> -> tensor<64x128xf32>
    %1 = pico.matmul %x, %0 {at = "train.py:10"} : tensor<64x64xf32>, tensor<64x128xf32> -> tensor<64x128xf32>
    %2 = pico.broadcast %model_0_bias to [64, 128] {at = "train.py:10"} : tensor<128xf32> -> tensor<64x128xf32>
    %model_0_out = pico.binary add %1, %2 {at = "train.py:10"} : tensor<64x128xf32>
    %3 = pico.constant dense<0.0> : tensor<f32> {at = "train.py:10"}
    %4 = pico.broadcast %3 to [64, 128] {at = "train.py:10"} : tensor<f32> -> tensor<64x128xf32>
    %5 = pico.compare le %model_0_out, %4 {at = "train.py:10"} : tensor<64x128xf32> -> tensor<64x128xi1>
    %model_1_out = pico.select %5, %4, %model_0_out {at = "train.py:10"} : tensor<64x128xi1>, tensor<64x128xf32>
    %6 = pico.permute %model_2_weight by [1, 0] {at = "train.py:10"} : tensor<64x128xf32> -> tensor<128x64xf32>
    %7 = pico.matmul %model_1_out, %6 {at = "train.py:10"} : tensor<64x128xf32>, tensor<128x64xf32> -> tensor<64x64xf32>
    %8 = pico.broadcast %model_2_bias to [64, 64] {at = "train.py:10"} : tensor<64xf32> -> tensor<64x64xf32>
    %model_2_out = pico.binary add %7, %8 {at = "train.py:10"} : tensor<64x64xf32>
    %9 = pico.broadcast %3 to [64, 64] {at = "train.py:10"} : tensor<f32> -> tensor<64x64xf32>
    %10 = pico.compare le %model_2_out, %9 {at = "train.py:10"} : tensor<64x64xf32> -> tensor<64x64xi1>
    %model_3_out = pico.select %10, %9, %model_2_out {at = "train.py:10"} : tensor<64x64xi1>, tensor<64x64xf32>
    %11 = pico.permute %model_4_weight by [1, 0] {at = "train.py:10"} : tensor<10x64xf32> -> tensor<64x10xf32>
    %12 = pico.matmul %model_3_out, %11 {at = "train.py:10"} : tensor<64x64xf32>, tensor<64x10xf32> -> tensor<64x10xf32>
    %13 = pico.broadcast %model_4_bias to [64, 10] {at = "train.py:10"} : tensor<10xf32> -> tensor<64x10xf32>
    %model_4_out = pico.binary add %12, %13 {at = "train.py:10"} : tensor<64x10xf32>
    %14 = pico.reduce max %model_4_out axes [1] {at = "train.py:10"} : tensor<64x10xf32> -> tensor<64xf32>
    %15 = pico.reshape %14 to [64, 1] {at = "train.py:10"} : tensor<64xf32> -> tensor<64x1xf32>
    %16 = pico.broadcast %15 to [64, 10] {at = "train.py:10"} : tensor<64x1xf32> -> tensor<64x10xf32>
    %17 = pico.binary sub %model_4_out, %16 {at = "train.py:10"} : tensor<64x10xf32>
    %18 = pico.unary exp %17 {at = "train.py:10"} : tensor<64x10xf32>
    %19 = pico.reduce add %18 axes [1] {at = "train.py:10"} : tensor<64x10xf32> -> tensor<64xf32>
    %20 = pico.unary log %19 {at = "train.py:10"} : tensor<64xf32>
    %21 = pico.reshape %20 to [64, 1] {at = "train.py:10"} : tensor<64xf32> -> tensor<64x1xf32>
    %22 = pico.broadcast %21 to [64, 10] {at = "train.py:10"} : tensor<64x1xf32> -> tensor<64x10xf32>
    %23 = pico.binary sub %17, %22 {at = "train.py:10"} : tensor<64x10xf32>
    %24 = pico.reshape %y to [64, 1] {at = "train.py:10"} : tensor<64xi64> -> tensor<64x1xi64>
    %25 = pico.gather %23 at %24 axis 1 {at = "train.py:10"} : tensor<64x10xf32>, tensor<64x1xi64> -> tensor<64x1xf32>
    %26 = pico.reshape %25 to [64] {at = "train.py:10"} : tensor<64x1xf32> -> tensor<64xf32>
    %27 = pico.unary neg %26 {at = "train.py:10"} : tensor<64xf32>
    %28 = pico.reduce add %27 axes [0] {at = "train.py:10"} : tensor<64xf32> -> tensor<f32>
    %29 = pico.constant dense<0.015625> : tensor<f32> {at = "train.py:10"}
    %loss = pico.binary mul %28, %29 {at = "train.py:10"} : tensor<f32>
    %30 = pico.constant dense<0.0> : tensor<64x10xf32> {at = "train.py:10"}
    %31 = pico.iota 10 of i64 {at = "train.py:10"} : tensor<10xi64>
    %32 = pico.broadcast %31 to [64, 10] {at = "train.py:10"} : tensor<10xi64> -> tensor<64x10xi64>
    %33 = pico.gather %32 at %24 axis 1 {at = "train.py:10"} : tensor<64x10xi64>, tensor<64x1xi64> -> tensor<64x1xi64>
    %34 = pico.broadcast %33 to [64, 10] {at = "train.py:10"} : tensor<64x1xi64> -> tensor<64x10xi64>
    %35 = pico.compare eq %32, %34 {at = "train.py:10"} : tensor<64x10xi64> -> tensor<64x10xi1>
    %36 = pico.constant dense<-0.015625> : tensor<64x10xf32> {at = "train.py:10"}
    %37 = pico.select %35, %36, %30 {at = "train.py:10"} : tensor<64x10xi1>, tensor<64x10xf32>
    %38 = pico.unary neg %37 {at = "train.py:10"} : tensor<64x10xf32>
    %39 = pico.reduce add %38 axes [1] {at = "train.py:10"} : tensor<64x10xf32> -> tensor<64xf32>
    %40 = pico.binary div %39, %19 {at = "train.py:10"} : tensor<64xf32>
    %41 = pico.reshape %40 to [64, 1] {at = "train.py:10"} : tensor<64xf32> -> tensor<64x1xf32>
    %42 = pico.broadcast %41 to [64, 10] {at = "train.py:10"} : tensor<64x1xf32> -> tensor<64x10xf32>
    %43 = pico.binary mul %42, %18 {at = "train.py:10"} : tensor<64x10xf32>
    %44 = pico.binary add %37, %43 {at = "train.py:11"} : tensor<64x10xf32>
    %model_4_bias_grad = pico.reduce add %44 axes [0] {at = "train.py:10"} : tensor<64x10xf32> -> tensor<10xf32>
    %45 = pico.matmul %44, %model_4_weight {at = "train.py:10"} : tensor<64x10xf32>, tensor<10x64xf32> -> tensor<64x64xf32>
    %46 = pico.permute %model_3_out by [1, 0] {at = "train.py:10"} : tensor<64x64xf32> -> tensor<64x64xf32>
    %47 = pico.matmul %46, %44 {at = "train.py:10"} : tensor<64x64xf32>, tensor<64x10xf32> -> tensor<64x10xf32>
    %model_4_weight_grad = pico.permute %47 by [1, 0] {at = "train.py:10"} : tensor<64x10xf32> -> tensor<10x64xf32>
    %48 = pico.select %10, %9, %45 {at = "train.py:10"} : tensor<64x64xi1>, tensor<64x64xf32>
    %model_2_bias_grad = pico.reduce add %48 axes [0] {at = "train.py:10"} : tensor<64x64xf32> -> tensor<64xf32>
    %49 = pico.matmul %48, %model_2_weight {at = "train.py:10"} : tensor<64x64xf32>, tensor<64x128xf32> -> tensor<64x128xf32>
    %50 = pico.permute %model_1_out by [1, 0] {at = "train.py:10"} : tensor<64x128xf32> -> tensor<128x64xf32>
    %51 = pico.matmul %50, %48 {at = "train.py:10"} : tensor<128x64xf32>, tensor<64x64xf32> -> tensor<128x64xf32>
    %model_2_weight_grad = pico.permute %51 by [1, 0] {at = "train.py:10"} : tensor<128x64xf32> -> tensor<64x128xf32>
    %52 = pico.select %5, %4, %49 {at = "train.py:10"} : tensor<64x128xi1>, tensor<64x128xf32>
    %model_0_bias_grad = pico.reduce add %52 axes [0] {at = "train.py:10"} : tensor<64x128xf32> -> tensor<128xf32>
    %53 = pico.permute %x by [1, 0] {at = "train.py:10"} : tensor<64x64xf32> -> tensor<64x64xf32>
    %54 = pico.matmul %53, %52 {at = "train.py:10"} : tensor<64x64xf32>, tensor<64x128xf32> -> tensor<64x128xf32>
    %model_0_weight_grad = pico.permute %54 by [1, 0] {at = "train.py:10"} : tensor<64x128xf32> -> tensor<128x64xf32>
    %55 = pico.constant dense<1.0> : tensor<f32> {at = "train.py:12"}
    %56 = pico.binary add %step, %55 {at = "train.py:12"} : tensor<f32>
    %57 = pico.binary sub %55, %bias_correction1 {at = "train.py:12"} : tensor<f32>
    %58 = pico.constant dense<0.1> : tensor<f32> {at = "train.py:12"}
    %59 = pico.binary mul %57, %58 {at = "train.py:12"} : tensor<f32>
    %60 = pico.binary add %bias_correction1, %59 {at = "train.py:12"} : tensor<f32>
    %61 = pico.binary sub %55, %bias_correction2 {at = "train.py:12"} : tensor<f32>
    %62 = pico.constant dense<0.001> : tensor<f32> {at = "train.py:12"}
    %63 = pico.binary mul %61, %62 {at = "train.py:12"} : tensor<f32>
    %64 = pico.binary add %bias_correction2, %63 {at = "train.py:12"} : tensor<f32>
    %65 = pico.binary sub %model_0_weight_grad, %model_0_weight_exp_avg {at = "train.py:12"} : tensor<128x64xf32>
    %66 = pico.broadcast %58 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %67 = pico.binary mul %65, %66 {at = "train.py:12"} : tensor<128x64xf32>
    %68 = pico.binary add %model_0_weight_exp_avg, %67 {at = "train.py:12"} : tensor<128x64xf32>
    %69 = pico.constant dense<0.999> : tensor<f32> {at = "train.py:12"}
    %70 = pico.broadcast %69 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %71 = pico.binary mul %model_0_weight_exp_avg_sq, %70 {at = "train.py:12"} : tensor<128x64xf32>
    %72 = pico.broadcast %62 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %73 = pico.binary mul %model_0_weight_grad, %72 {at = "train.py:12"} : tensor<128x64xf32>
    %74 = pico.binary mul %73, %model_0_weight_grad {at = "train.py:12"} : tensor<128x64xf32>
    %75 = pico.binary add %71, %74 {at = "train.py:12"} : tensor<128x64xf32>
    %76 = pico.broadcast %64 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %77 = pico.binary div %75, %76 {at = "train.py:12"} : tensor<128x64xf32>
    %78 = pico.unary sqrt %77 {at = "train.py:12"} : tensor<128x64xf32>
    %79 = pico.constant dense<1.0e-08> : tensor<f32> {at = "train.py:12"}
    %80 = pico.broadcast %79 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %81 = pico.binary add %78, %80 {at = "train.py:12"} : tensor<128x64xf32>
    %82 = pico.binary div %55, %60 {at = "train.py:12"} : tensor<f32>
    %83 = pico.binary mul %82, %lr {at = "train.py:12"} : tensor<f32>
    %84 = pico.unary neg %83 {at = "train.py:12"} : tensor<f32>
    %85 = pico.broadcast %84 to [128, 64] {at = "train.py:12"} : tensor<f32> -> tensor<128x64xf32>
    %86 = pico.binary mul %68, %85 {at = "train.py:12"} : tensor<128x64xf32>
    %87 = pico.binary div %86, %81 {at = "train.py:12"} : tensor<128x64xf32>
    %88 = pico.binary add %model_0_weight, %87 {at = "train.py:12"} : tensor<128x64xf32>
    %89 = pico.binary sub %model_0_bias_grad, %model_0_bias_exp_avg {at = "train.py:12"} : tensor<128xf32>
    %90 = pico.constant dense<0.1> : tensor<128xf32> {at = "train.py:12"}
    %91 = pico.binary mul %89, %90 {at = "train.py:12"} : tensor<128xf32>
    %92 = pico.binary add %model_0_bias_exp_avg, %91 {at = "train.py:12"} : tensor<128xf32>
    %93 = pico.constant dense<0.999> : tensor<128xf32> {at = "train.py:12"}
    %94 = pico.binary mul %model_0_bias_exp_avg_sq, %93 {at = "train.py:12"} : tensor<128xf32>
    %95 = pico.constant dense<0.001> : tensor<128xf32> {at = "train.py:12"}
    %96 = pico.binary mul %model_0_bias_grad, %95 {at = "train.py:12"} : tensor<128xf32>
    %97 = pico.binary mul %96, %model_0_bias_grad {at = "train.py:12"} : tensor<128xf32>
    %98 = pico.binary add %94, %97 {at = "train.py:12"} : tensor<128xf32>
    %99 = pico.broadcast %64 to [128] {at = "train.py:12"} : tensor<f32> -> tensor<128xf32>
    %100 = pico.binary div %98, %99 {at = "train.py:12"} : tensor<128xf32>
    %101 = pico.unary sqrt %100 {at = "train.py:12"} : tensor<128xf32>
    %102 = pico.constant dense<1.0e-08> : tensor<128xf32> {at = "train.py:12"}
    %103 = pico.binary add %101, %102 {at = "train.py:12"} : tensor<128xf32>
    %104 = pico.broadcast %84 to [128] {at = "train.py:12"} : tensor<f32> -> tensor<128xf32>
    %105 = pico.binary mul %92, %104 {at = "train.py:12"} : tensor<128xf32>
    %106 = pico.binary div %105, %103 {at = "train.py:12"} : tensor<128xf32>
    %107 = pico.binary add %model_0_bias, %106 {at = "train.py:12"} : tensor<128xf32>
    %108 = pico.binary sub %model_2_weight_grad, %model_2_weight_exp_avg {at = "train.py:12"} : tensor<64x128xf32>
    %109 = pico.broadcast %58 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %110 = pico.binary mul %108, %109 {at = "train.py:12"} : tensor<64x128xf32>
    %111 = pico.binary add %model_2_weight_exp_avg, %110 {at = "train.py:12"} : tensor<64x128xf32>
    %112 = pico.broadcast %69 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %113 = pico.binary mul %model_2_weight_exp_avg_sq, %112 {at = "train.py:12"} : tensor<64x128xf32>
    %114 = pico.broadcast %62 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %115 = pico.binary mul %model_2_weight_grad, %114 {at = "train.py:12"} : tensor<64x128xf32>
    %116 = pico.binary mul %115, %model_2_weight_grad {at = "train.py:12"} : tensor<64x128xf32>
    %117 = pico.binary add %113, %116 {at = "train.py:12"} : tensor<64x128xf32>
    %118 = pico.broadcast %64 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %119 = pico.binary div %117, %118 {at = "train.py:12"} : tensor<64x128xf32>
    %120 = pico.unary sqrt %119 {at = "train.py:12"} : tensor<64x128xf32>
    %121 = pico.broadcast %79 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %122 = pico.binary add %120, %121 {at = "train.py:12"} : tensor<64x128xf32>
    %123 = pico.broadcast %84 to [64, 128] {at = "train.py:12"} : tensor<f32> -> tensor<64x128xf32>
    %124 = pico.binary mul %111, %123 {at = "train.py:12"} : tensor<64x128xf32>
    %125 = pico.binary div %124, %122 {at = "train.py:12"} : tensor<64x128xf32>
    %126 = pico.binary add %model_2_weight, %125 {at = "train.py:12"} : tensor<64x128xf32>
    %127 = pico.binary sub %model_2_bias_grad, %model_2_bias_exp_avg {at = "train.py:12"} : tensor<64xf32>
    %128 = pico.constant dense<0.1> : tensor<64xf32> {at = "train.py:12"}
    %129 = pico.binary mul %127, %128 {at = "train.py:12"} : tensor<64xf32>
    %130 = pico.binary add %model_2_bias_exp_avg, %129 {at = "train.py:12"} : tensor<64xf32>
    %131 = pico.constant dense<0.999> : tensor<64xf32> {at = "train.py:12"}
    %132 = pico.binary mul %model_2_bias_exp_avg_sq, %131 {at = "train.py:12"} : tensor<64xf32>
    %133 = pico.constant dense<0.001> : tensor<64xf32> {at = "train.py:12"}
    %134 = pico.binary mul %model_2_bias_grad, %133 {at = "train.py:12"} : tensor<64xf32>
    %135 = pico.binary mul %134, %model_2_bias_grad {at = "train.py:12"} : tensor<64xf32>
    %136 = pico.binary add %132, %135 {at = "train.py:12"} : tensor<64xf32>
    %137 = pico.broadcast %64 to [64] {at = "train.py:12"} : tensor<f32> -> tensor<64xf32>
    %138 = pico.binary div %136, %137 {at = "train.py:12"} : tensor<64xf32>
    %139 = pico.unary sqrt %138 {at = "train.py:12"} : tensor<64xf32>
    %140 = pico.constant dense<1.0e-08> : tensor<64xf32> {at = "train.py:12"}
    %141 = pico.binary add %139, %140 {at = "train.py:12"} : tensor<64xf32>
    %142 = pico.broadcast %84 to [64] {at = "train.py:12"} : tensor<f32> -> tensor<64xf32>
    %143 = pico.binary mul %130, %142 {at = "train.py:12"} : tensor<64xf32>
    %144 = pico.binary div %143, %141 {at = "train.py:12"} : tensor<64xf32>
    %145 = pico.binary add %model_2_bias, %144 {at = "train.py:12"} : tensor<64xf32>
    %146 = pico.binary sub %model_4_weight_grad, %model_4_weight_exp_avg {at = "train.py:12"} : tensor<10x64xf32>
    %147 = pico.constant dense<0.1> : tensor<10x64xf32> {at = "train.py:12"}
    %148 = pico.binary mul %146, %147 {at = "train.py:12"} : tensor<10x64xf32>
    %149 = pico.binary add %model_4_weight_exp_avg, %148 {at = "train.py:12"} : tensor<10x64xf32>
    %150 = pico.constant dense<0.999> : tensor<10x64xf32> {at = "train.py:12"}
    %151 = pico.binary mul %model_4_weight_exp_avg_sq, %150 {at = "train.py:12"} : tensor<10x64xf32>
    %152 = pico.constant dense<0.001> : tensor<10x64xf32> {at = "train.py:12"}
    %153 = pico.binary mul %model_4_weight_grad, %152 {at = "train.py:12"} : tensor<10x64xf32>
    %154 = pico.binary mul %153, %model_4_weight_grad {at = "train.py:12"} : tensor<10x64xf32>
    %155 = pico.binary add %151, %154 {at = "train.py:12"} : tensor<10x64xf32>
    %156 = pico.broadcast %64 to [10, 64] {at = "train.py:12"} : tensor<f32> -> tensor<10x64xf32>
    %157 = pico.binary div %155, %156 {at = "train.py:12"} : tensor<10x64xf32>
    %158 = pico.unary sqrt %157 {at = "train.py:12"} : tensor<10x64xf32>
    %159 = pico.constant dense<1.0e-08> : tensor<10x64xf32> {at = "train.py:12"}
    %160 = pico.binary add %158, %159 {at = "train.py:12"} : tensor<10x64xf32>
    %161 = pico.broadcast %84 to [10, 64] {at = "train.py:12"} : tensor<f32> -> tensor<10x64xf32>
    %162 = pico.binary mul %149, %161 {at = "train.py:12"} : tensor<10x64xf32>
    %163 = pico.binary div %162, %160 {at = "train.py:12"} : tensor<10x64xf32>
    %164 = pico.binary add %model_4_weight, %163 {at = "train.py:12"} : tensor<10x64xf32>
    %165 = pico.binary sub %model_4_bias_grad, %model_4_bias_exp_avg {at = "train.py:12"} : tensor<10xf32>
    %166 = pico.constant dense<0.1> : tensor<10xf32> {at = "train.py:12"}
    %167 = pico.binary mul %165, %166 {at = "train.py:12"} : tensor<10xf32>
    %168 = pico.binary add %model_4_bias_exp_avg, %167 {at = "train.py:12"} : tensor<10xf32>
    %169 = pico.constant dense<0.999> : tensor<10xf32> {at = "train.py:12"}
    %170 = pico.binary mul %model_4_bias_exp_avg_sq, %169 {at = "train.py:12"} : tensor<10xf32>
    %171 = pico.constant dense<0.001> : tensor<10xf32> {at = "train.py:12"}
    %172 = pico.binary mul %model_4_bias_grad, %171 {at = "train.py:12"} : tensor<10xf32>
    %173 = pico.binary mul %172, %model_4_bias_grad {at = "train.py:12"} : tensor<10xf32>
    %174 = pico.binary add %170, %173 {at = "train.py:12"} : tensor<10xf32>
    %175 = pico.broadcast %64 to [10] {at = "train.py:12"} : tensor<f32> -> tensor<10xf32>
    %176 = pico.binary div %174, %175 {at = "train.py:12"} : tensor<10xf32>
    %177 = pico.unary sqrt %176 {at = "train.py:12"} : tensor<10xf32>
    %178 = pico.constant dense<1.0e-08> : tensor<10xf32> {at = "train.py:12"}
    %179 = pico.binary add %177, %178 {at = "train.py:12"} : tensor<10xf32>
    %180 = pico.broadcast %84 to [10] {at = "train.py:12"} : tensor<f32> -> tensor<10xf32>
    %181 = pico.binary mul %168, %180 {at = "train.py:12"} : tensor<10xf32>
    %182 = pico.binary div %181, %179 {at = "train.py:12"} : tensor<10xf32>
    %183 = pico.binary add %model_4_bias, %182 {at = "train.py:12"} : tensor<10xf32>
    func.return %loss, %56, %60, %64, %68, %75, %88, %92, %98, %107, %111, %117, %126, %130, %136, %145, %149, %155, %164, %168, %174, %183, %model_0_weight_grad, %model_0_bias_grad, %model_2_weight_grad, %model_2_bias_grad, %model_4_weight_grad, %model_4_bias_grad : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<128x64xf32>, tensor<128x64xf32>, tensor<128x64xf32>, tensor<128xf32>, tensor<128xf32>, tensor<128xf32>, tensor<64x128xf32>, tensor<64x128xf32>, tensor<64x128xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<10x64xf32>, tensor<10x64xf32>, tensor<10x64xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<128x64xf32>, tensor<128xf32>, tensor<64x128xf32>, tensor<64xf32>, tensor<10x64xf32>, tensor<10xf32>
  }
}
// picograd replay 1
// passes: canonicalize
// device: reference
// sanitize: false
// seed: --seed 777 --only 11515 --devices reference
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.6, llvmlite 0.50.0, wgpu 0.32.0
// failure: VALUES in canonicalize
//   pass canonicalize changes what @main does: result 0 differs at [0] in float64
//     expected: 1.8571428656578064 ± 4.12e-16
//     found: 1.8571429252624512 (1.45e+08 times its budget; 1 wrong elements of 2)
// input: dense<0> : tensor<1xi32>
builtin.module {
  func.func @main(%loss: tensor<1xi32> {pico.name = "loss"}) -> tensor<2xf32> {
    %hidden = pico.constant dense<1.0> : tensor<2xf32>
    %0 = pico.constant dense<0.85714287> : tensor<1xf32>
    %1 = pico.scatter add %hidden at %loss from %0 axis 0 : tensor<2xf32>, tensor<1xi32>, tensor<1xf32>
    func.return %1 : tensor<2xf32>
  }
}

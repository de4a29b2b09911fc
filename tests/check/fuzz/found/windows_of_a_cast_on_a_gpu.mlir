// picograd replay 1
// passes: legalize_types{target="gpu:workgroup_bytes=1024,max_invocations=32"}
// device: gpu
// sanitize: true
// seed: --seed 424243 --only 7549 --devices gpu (made small in 2 s)
// versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.5.2, llvmlite 0.50.0, wgpu 0.32.0
// failure: INVALID in legalize_types{target="gpu:workgroup_bytes=1024,max_invocations=32"}
//   pass legalize_types{target="gpu:workgroup_bytes=1024,max_invocations=32"} left IR that does not verify: pico.windows: Expected attribute i64 but got i32
// input: dense<0> : tensor<1xi8>
builtin.module {
  func.func @main(%loss: tensor<1xi8> {pico.name = "loss"}) {
    %hidden = pico.cast %loss to i64 : tensor<1xi8> -> tensor<1xi64>
    %0 = pico.windows %hidden axis 0 size 1 stride 1 dilation 1 : tensor<1xi64> -> tensor<1x1xi64>
    func.return
  }
}

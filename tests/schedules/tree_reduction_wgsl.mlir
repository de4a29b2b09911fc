// The sum of each row of 1000 elements: one workgroup a row. 64 threads add up every 64th element,
// 8 of them the 64 partial sums, and all of them alike the last 8.
func.func @main(%x: memref<5x1000xf32>, %y: memref<5xf32> {buffer.output}) {
  loop.launch @row_sum(%x, %y) : memref<5x1000xf32>, memref<5xf32>
  func.return
}

loop.kernel @row_sum(%x: memref<5x1000xf32>, %y: memref<5xf32>) {
  loop.parallel %i = 0 to 5 mapping grid {
    %zero = arith.constant 0.0 : f32
    %parts = loop.alloc : memref<64xf32, "workgroup">
    loop.parallel %thread = 0 to 64 mapping workgroup {
      %share = loop.for %a = %thread to 1000 step 64 carry (%c = %zero : f32) {
        %v = loop.load %x[%i, %a] : memref<5x1000xf32>
        %n = arith.addf %c, %v : f32
        loop.yield %n : f32
      }
      loop.store %share, %parts[%thread] : f32, memref<64xf32, "workgroup">
    }
    loop.barrier
    loop.parallel %thread = 0 to 8 mapping workgroup {
      %some = loop.for %part = %thread to 64 step 8 carry (%c = %zero : f32) {
        %v = loop.load %parts[%part] : memref<64xf32, "workgroup">
        %n = arith.addf %c, %v : f32
        loop.yield %n : f32
      }
      loop.store %some, %parts[%thread] : f32, memref<64xf32, "workgroup">
    }
    loop.barrier
    %sum = loop.for %part = 0 to 8 carry (%c = %zero : f32) {
      %v = loop.load %parts[%part] : memref<64xf32, "workgroup">
      %n = arith.addf %c, %v : f32
      loop.yield %n : f32
    }
    loop.parallel %once = 0 to 1 mapping workgroup {
      loop.store %sum, %y[%i] : f32, memref<5xf32>
    }
  }
}

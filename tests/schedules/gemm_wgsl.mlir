// relu(x @ w + b) for a GPU: blocks of both operands staged in workgroup memory, an 8x8 register
// tile for each of 64 threads. 100, 90 and 70 are no multiples of the blocks: the copies are padded
// with zeros, and the stores of the last blocks are clipped. Barriers are implied between
// workgroup-mapped loops.
func.func @main(%x: memref<100x70xf32>, %w: memref<70x90xf32>, %b: memref<90xf32>,
                %y: memref<100x90xf32> {buffer.output}) {
  loop.launch @gemm(%x, %w, %b, %y)
    : memref<100x70xf32>, memref<70x90xf32>, memref<90xf32>, memref<100x90xf32>
  func.return
}

loop.kernel @gemm(%x: memref<100x70xf32>, %w: memref<70x90xf32>, %b: memref<90xf32>,
                  %y: memref<100x90xf32>) {
  loop.parallel (%i0, %j0) = (0, 0) to (100, 90) step (64, 64) mapping grid {
    // Each thread owns an 8x8 part: it stays in registers from block to block.
    %waiting = loop.alloc : memref<64x64xf32, "private">
    loop.for %k0 = 0 to 70 step 16 {
      %x_tile = loop.alloc : memref<16x64xf32, "workgroup">
      %w_tile = loop.alloc : memref<16x64xf32, "workgroup">
      loop.parallel %thread = 0 to 64 mapping workgroup {
        loop.parallel %e = %thread to 1024 step 64 {
          %v = loop.load %x[%i0 + %e floordiv 16, %k0 + %e mod 16] pad : memref<100x70xf32>
          loop.store %v, %x_tile[%e mod 16, %e floordiv 16] : f32, memref<16x64xf32, "workgroup">
        }
      }
      loop.parallel %thread = 0 to 64 mapping workgroup {
        loop.parallel %e = %thread to 1024 step 64 {
          %v = loop.load %w[%k0 + %e floordiv 64, %j0 + %e mod 64] pad : memref<70x90xf32>
          loop.store %v, %w_tile[%e floordiv 64, %e mod 64] : f32, memref<16x64xf32, "workgroup">
        }
      }
      loop.parallel (%i1, %j1) = (0, 0) to (64, 64) step (8, 8) mapping workgroup {
        %zero = arith.constant 0.0 : f32
        %zeros = loop.broadcast %zero along [0, 1] : f32 to vector<8x8xf32>
        %start = loop.if -%k0 >= 0 : vector<8x8xf32> {
          loop.yield %zeros : vector<8x8xf32>
        } else {
          %old = loop.load %waiting[%i1 + t0, %j1 + t1]
            : memref<64x64xf32, "private"> to vector<8x8xf32>
          loop.yield %old : vector<8x8xf32>
        }
        %sum = loop.for %k = 0 to 16 carry (%c = %start : vector<8x8xf32>) {
          %xv = loop.load %x_tile[%k, %i1 + t0] : memref<16x64xf32, "workgroup"> to vector<8xf32>
          %wv = loop.load %w_tile[%k, %j1 + t0] : memref<16x64xf32, "workgroup"> to vector<8xf32>
          %xx = loop.broadcast %xv along [1] : vector<8xf32> to vector<8x8xf32>
          %ww = loop.broadcast %wv along [0] : vector<8xf32> to vector<8x8xf32>
          %n = math.fma %xx, %ww, %c : vector<8x8xf32>
          loop.yield %n : vector<8x8xf32>
        }
        loop.if %k0 - 54 >= 0 {
          %bv = loop.load %b[%j0 + %j1 + t0] pad : memref<90xf32> to vector<8xf32>
          %bb = loop.broadcast %bv along [0] : vector<8xf32> to vector<8x8xf32>
          %s = arith.addf %sum, %bb : vector<8x8xf32>
          %r = arith.maximumf %s, %zeros : vector<8x8xf32>
          loop.store %r, %y[%i0 + %i1 + t0, %j0 + %j1 + t1] clip
            : vector<8x8xf32>, memref<100x90xf32>
        } else {
          loop.store %sum, %waiting[%i1 + t0, %j1 + t1]
            : vector<8x8xf32>, memref<64x64xf32, "private">
        }
      }
    }
  }
}

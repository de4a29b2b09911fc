// The plan of gemm_512.mlir for processors with 16 registers of 256 bits: a tile of 6x16 sums takes
// twelve of them, two rows of w and two elements of x the rest.
loop.kernel @linear_relu(%x: memref<64x40xf32>, %w: memref<40x48xf32>, %b: memref<48xf32>, %y: memref<64x48xf32>) {
  %zero = arith.constant 0.0 : f32
  loop.for %k0 = 0 to 40 step 24 {
    %wp = loop.alloc : memref<3x24x16xf32, "packed">
    loop.parallel %wj = 0 to 48 step 16 {
      loop.parallel %wk = %k0 to min(%k0 + 24, 40) {
        %wrow = loop.load %w[%wk, %wj + t0] : memref<40x48xf32> to vector<16xf32>
        loop.store %wrow, %wp[%wj floordiv 16, %wk - %k0, t0] : vector<16xf32>, memref<3x24x16xf32, "packed">
      }
    }
    loop.parallel %i0 = 0 to 64 step 30 {
      %xp = loop.alloc : memref<5x24x6xf32, "packed">
      loop.parallel %xi = %i0 to min(%i0 + 30, 60) step 6 {
        loop.parallel %xk = %k0 to min(%k0 + 24, 40) step 8 {
          %block = loop.load %x[%xi + t0, %xk + t1] : memref<64x40xf32> to vector<6x8xf32>
          loop.store %block, %xp[(%xi - %i0) floordiv 6, %xk + t1 - %k0, t0] : vector<6x8xf32>, memref<5x24x6xf32, "packed">
        }
      }
      loop.if %i0 - 34 >= 0 {
        loop.parallel %xk_tail = %k0 to min(%k0 + 24, 40) step 8 {
          %block_tail = loop.load %x[60 + t0, %xk_tail + t1] : memref<64x40xf32> to vector<4x8xf32>
          loop.store %block_tail, %xp[(60 - %i0) floordiv 6, %xk_tail + t1 - %k0, t0] : vector<4x8xf32>, memref<5x24x6xf32, "packed">
        }
      }
      loop.parallel %j = 0 to 48 step 16 {
        loop.parallel %i = %i0 to min(%i0 + 30, 60) step 6 {
          %zeros = loop.broadcast %zero along [0, 1] : f32 to vector<6x16xf32>
          %product = loop.for %k = %k0 to min(%k0 + 24, 40) carry (%c = %zeros : vector<6x16xf32>) {
            %xv = loop.load %xp[(%i - %i0) floordiv 6, %k - %k0, t0] : memref<5x24x6xf32, "packed"> to vector<6xf32>
            %wv = loop.load %wp[%j floordiv 16, %k - %k0, t0] : memref<3x24x16xf32, "packed"> to vector<16xf32>
            %xx = loop.broadcast %xv along [1] : vector<6xf32> to vector<6x16xf32>
            %ww = loop.broadcast %wv along [0] : vector<16xf32> to vector<6x16xf32>
            %next = math.fma %xx, %ww, %c : vector<6x16xf32>
            loop.yield %next : vector<6x16xf32>
          }
          %sum = loop.if -%k0 >= 0 : vector<6x16xf32> {
            loop.yield %product : vector<6x16xf32>
          } else {
            %waiting = loop.load %y[%i + t0, %j + t1] : memref<64x48xf32> to vector<6x16xf32>
            %both = arith.addf %waiting, %product : vector<6x16xf32>
            loop.yield %both : vector<6x16xf32>
          }
          loop.if %k0 - 16 >= 0 {
            %bv = loop.load %b[%j + t0] : memref<48xf32> to vector<16xf32>
            %bb = loop.broadcast %bv along [0] : vector<16xf32> to vector<6x16xf32>
            %biased = arith.addf %sum, %bb : vector<6x16xf32>
            %floor = loop.broadcast %zero along [0, 1] : f32 to vector<6x16xf32>
            %relu = arith.maximumf %biased, %floor : vector<6x16xf32>
            loop.store %relu, %y[%i + t0, %j + t1] : vector<6x16xf32>, memref<64x48xf32>
          } else {
            loop.store %sum, %y[%i + t0, %j + t1] : vector<6x16xf32>, memref<64x48xf32>
          }
        }
        loop.if %i0 - 34 >= 0 {
          %zeros_rows = loop.broadcast %zero along [0, 1] : f32 to vector<4x16xf32>
          %product_rows = loop.for %k_rows as k = %k0 to min(%k0 + 24, 40) carry (%c_rows = %zeros_rows : vector<4x16xf32>) {
            %xv_rows = loop.load %xp[(60 - %i0) floordiv 6, %k_rows - %k0, t0] : memref<5x24x6xf32, "packed"> to vector<4xf32>
            %wv_rows = loop.load %wp[%j floordiv 16, %k_rows - %k0, t0] : memref<3x24x16xf32, "packed"> to vector<16xf32>
            %xx_rows = loop.broadcast %xv_rows along [1] : vector<4xf32> to vector<4x16xf32>
            %ww_rows = loop.broadcast %wv_rows along [0] : vector<16xf32> to vector<4x16xf32>
            %next_rows = math.fma %xx_rows, %ww_rows, %c_rows : vector<4x16xf32>
            loop.yield %next_rows : vector<4x16xf32>
          }
          %sum_rows = loop.if -%k0 >= 0 : vector<4x16xf32> {
            loop.yield %product_rows : vector<4x16xf32>
          } else {
            %waiting_rows = loop.load %y[60 + t0, %j + t1] : memref<64x48xf32> to vector<4x16xf32>
            %both_rows = arith.addf %waiting_rows, %product_rows : vector<4x16xf32>
            loop.yield %both_rows : vector<4x16xf32>
          }
          loop.if %k0 - 16 >= 0 {
            %bv_rows = loop.load %b[%j + t0] : memref<48xf32> to vector<16xf32>
            %bb_rows = loop.broadcast %bv_rows along [0] : vector<16xf32> to vector<4x16xf32>
            %biased_rows = arith.addf %sum_rows, %bb_rows : vector<4x16xf32>
            %floor_rows = loop.broadcast %zero along [0, 1] : f32 to vector<4x16xf32>
            %relu_rows = arith.maximumf %biased_rows, %floor_rows : vector<4x16xf32>
            loop.store %relu_rows, %y[60 + t0, %j + t1] : vector<4x16xf32>, memref<64x48xf32>
          } else {
            loop.store %sum_rows, %y[60 + t0, %j + t1] : vector<4x16xf32>, memref<64x48xf32>
          }
        }
      }
    }
  }
}
func.func @main(%x: memref<64x40xf32>, %w: memref<40x48xf32>, %b: memref<48xf32>, %y: memref<64x48xf32> {buffer.output}) {
  loop.launch @linear_relu(%x, %w, %b, %y) : memref<64x40xf32>, memref<40x48xf32>, memref<48xf32>, memref<64x48xf32>
  func.return
}

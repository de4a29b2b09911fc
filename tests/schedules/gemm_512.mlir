// relu(x @ w + b) by the plan of BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for
// Rapidly Instantiating BLAS Functionality", 2015): a block of w is packed into panels of 48
// columns, a block of x into panels of 8 rows, and an 8x48 tile of sums stays in registers while k
// runs through a block. The sums of the blocks of k are added up in the output, so that each block
// starts from zero: that is faster than starting from the output, whose loads would be waited for.
loop.kernel @linear_relu(%x: memref<512x512xf32>, %w: memref<512x512xf32>, %b: memref<512xf32>, %y: memref<512x512xf32>) {
  %zero = arith.constant 0.0 : f32
  loop.for %k0 = 0 to 512 step 256 {
    %wp = loop.alloc : memref<11x256x48xf32, "packed">
    loop.parallel %wj = 0 to 480 step 48 {
      loop.parallel %wk = %k0 to min(%k0 + 256, 512) {
        %wrow = loop.load %w[%wk, %wj + t0] : memref<512x512xf32> to vector<48xf32>
        loop.store %wrow, %wp[%wj floordiv 48, %wk - %k0, t0] : vector<48xf32>, memref<11x256x48xf32, "packed">
      }
    }
    loop.parallel %wk_tail = %k0 to min(%k0 + 256, 512) {
      %wrow_tail = loop.load %w[%wk_tail, 480 + t0] : memref<512x512xf32> to vector<32xf32>
      loop.store %wrow_tail, %wp[10, %wk_tail - %k0, t0] : vector<32xf32>, memref<11x256x48xf32, "packed">
    }
    loop.parallel %i0 = 0 to 512 step 256 {
      %xp = loop.alloc : memref<32x256x8xf32, "packed">
      loop.parallel %xi = %i0 to min(%i0 + 256, 512) step 8 {
        loop.parallel %xk = %k0 to min(%k0 + 256, 512) step 8 {
          %block = loop.load %x[%xi + t0, %xk + t1] : memref<512x512xf32> to vector<8x8xf32>
          loop.store %block, %xp[(%xi - %i0) floordiv 8, %xk + t1 - %k0, t0] : vector<8x8xf32>, memref<32x256x8xf32, "packed">
        }
      }
      loop.parallel %j = 0 to 480 step 48 {
        loop.parallel %i = %i0 to min(%i0 + 256, 512) step 8 {
          %zeros = loop.broadcast %zero along [0, 1] : f32 to vector<8x48xf32>
          %product = loop.for %k = %k0 to min(%k0 + 256, 512) carry (%c = %zeros : vector<8x48xf32>) {
            %xv = loop.load %xp[(%i - %i0) floordiv 8, %k - %k0, t0] : memref<32x256x8xf32, "packed"> to vector<8xf32>
            %wv = loop.load %wp[%j floordiv 48, %k - %k0, t0] : memref<11x256x48xf32, "packed"> to vector<48xf32>
            %xx = loop.broadcast %xv along [1] : vector<8xf32> to vector<8x48xf32>
            %ww = loop.broadcast %wv along [0] : vector<48xf32> to vector<8x48xf32>
            %next = math.fma %xx, %ww, %c : vector<8x48xf32>
            loop.yield %next : vector<8x48xf32>
          }
          %sum = loop.if -%k0 >= 0 : vector<8x48xf32> {
            loop.yield %product : vector<8x48xf32>
          } else {
            %waiting = loop.load %y[%i + t0, %j + t1] : memref<512x512xf32> to vector<8x48xf32>
            %both = arith.addf %waiting, %product : vector<8x48xf32>
            loop.yield %both : vector<8x48xf32>
          }
          loop.if %k0 - 256 >= 0 {
            %bv = loop.load %b[%j + t0] : memref<512xf32> to vector<48xf32>
            %bb = loop.broadcast %bv along [0] : vector<48xf32> to vector<8x48xf32>
            %biased = arith.addf %sum, %bb : vector<8x48xf32>
            %floor = loop.broadcast %zero along [0, 1] : f32 to vector<8x48xf32>
            %relu = arith.maximumf %biased, %floor : vector<8x48xf32>
            loop.store %relu, %y[%i + t0, %j + t1] : vector<8x48xf32>, memref<512x512xf32>
          } else {
            loop.store %sum, %y[%i + t0, %j + t1] : vector<8x48xf32>, memref<512x512xf32>
          }
        }
      }
      loop.parallel %i_columns as i = %i0 to min(%i0 + 256, 512) step 8 {
        %zeros_columns = loop.broadcast %zero along [0, 1] : f32 to vector<8x32xf32>
        %product_columns = loop.for %k_columns as k = %k0 to min(%k0 + 256, 512) carry (%c_columns = %zeros_columns : vector<8x32xf32>) {
          %xv_columns = loop.load %xp[(%i_columns - %i0) floordiv 8, %k_columns - %k0, t0] : memref<32x256x8xf32, "packed"> to vector<8xf32>
          %wv_columns = loop.load %wp[10, %k_columns - %k0, t0] : memref<11x256x48xf32, "packed"> to vector<32xf32>
          %xx_columns = loop.broadcast %xv_columns along [1] : vector<8xf32> to vector<8x32xf32>
          %ww_columns = loop.broadcast %wv_columns along [0] : vector<32xf32> to vector<8x32xf32>
          %next_columns = math.fma %xx_columns, %ww_columns, %c_columns : vector<8x32xf32>
          loop.yield %next_columns : vector<8x32xf32>
        }
        %sum_columns = loop.if -%k0 >= 0 : vector<8x32xf32> {
          loop.yield %product_columns : vector<8x32xf32>
        } else {
          %waiting_columns = loop.load %y[%i_columns + t0, 480 + t1] : memref<512x512xf32> to vector<8x32xf32>
          %both_columns = arith.addf %waiting_columns, %product_columns : vector<8x32xf32>
          loop.yield %both_columns : vector<8x32xf32>
        }
        loop.if %k0 - 256 >= 0 {
          %bv_columns = loop.load %b[480 + t0] : memref<512xf32> to vector<32xf32>
          %bb_columns = loop.broadcast %bv_columns along [0] : vector<32xf32> to vector<8x32xf32>
          %biased_columns = arith.addf %sum_columns, %bb_columns : vector<8x32xf32>
          %floor_columns = loop.broadcast %zero along [0, 1] : f32 to vector<8x32xf32>
          %relu_columns = arith.maximumf %biased_columns, %floor_columns : vector<8x32xf32>
          loop.store %relu_columns, %y[%i_columns + t0, 480 + t1] : vector<8x32xf32>, memref<512x512xf32>
        } else {
          loop.store %sum_columns, %y[%i_columns + t0, 480 + t1] : vector<8x32xf32>, memref<512x512xf32>
        }
      }
    }
  }
}
func.func @main(%x: memref<512x512xf32>, %w: memref<512x512xf32>, %b: memref<512xf32>, %y: memref<512x512xf32> {buffer.output}) {
  loop.launch @linear_relu(%x, %w, %b, %y) : memref<512x512xf32>, memref<512x512xf32>, memref<512xf32>, memref<512x512xf32>
  func.return
}

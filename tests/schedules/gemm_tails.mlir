// relu(x @ w + b) by the plan of BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for
// Rapidly Instantiating BLAS Functionality", 2015): a block of w is packed into panels of 48
// columns, a block of x into panels of 8 rows, and an 8x48 tile of sums stays in registers while k
// runs through a block. The sums of the blocks of k are added up in the output, so that each block
// starts from zero: that is faster than starting from the output, whose loads would be waited for.
// Blocks are small, so that a small product has several of them and tails on every side.
loop.kernel @linear_relu(%x: memref<75x101xf32>, %w: memref<101x130xf32>, %b: memref<130xf32>, %y: memref<75x130xf32>) {
  %zero = arith.constant 0.0 : f32
  loop.for %k0 = 0 to 101 step 40 {
    %wp = loop.alloc : memref<3x40x48xf32, "packed">
    loop.parallel %wj = 0 to 96 step 48 {
      loop.parallel %wk = %k0 to min(%k0 + 40, 101) {
        %wrow = loop.load %w[%wk, %wj + t0] : memref<101x130xf32> to vector<48xf32>
        loop.store %wrow, %wp[%wj floordiv 48, %wk - %k0, t0] : vector<48xf32>, memref<3x40x48xf32, "packed">
      }
    }
    loop.parallel %wk_tail = %k0 to min(%k0 + 40, 101) {
      %wrow_tail = loop.load %w[%wk_tail, 96 + t0] : memref<101x130xf32> to vector<34xf32>
      loop.store %wrow_tail, %wp[2, %wk_tail - %k0, t0] : vector<34xf32>, memref<3x40x48xf32, "packed">
    }
    loop.parallel %i0 = 0 to 75 step 32 {
      %xp = loop.alloc : memref<4x40x8xf32, "packed">
      loop.parallel %xi = %i0 to min(%i0 + 32, 72) step 8 {
        loop.parallel %xk = %k0 to min(%k0 + 40, 96) step 8 {
          %block = loop.load %x[%xi + t0, %xk + t1] : memref<75x101xf32> to vector<8x8xf32>
          loop.store %block, %xp[(%xi - %i0) floordiv 8, %xk + t1 - %k0, t0] : vector<8x8xf32>, memref<4x40x8xf32, "packed">
        }
        loop.if %k0 - 61 >= 0 {
          %block_rest = loop.load %x[%xi + t0, 96 + t1] : memref<75x101xf32> to vector<8x5xf32>
          loop.store %block_rest, %xp[(%xi - %i0) floordiv 8, 96 + t1 - %k0, t0] : vector<8x5xf32>, memref<4x40x8xf32, "packed">
        }
      }
      loop.if %i0 - 43 >= 0 {
        loop.parallel %xk_tail = %k0 to min(%k0 + 40, 96) step 8 {
          %block_tail = loop.load %x[72 + t0, %xk_tail + t1] : memref<75x101xf32> to vector<3x8xf32>
          loop.store %block_tail, %xp[(72 - %i0) floordiv 8, %xk_tail + t1 - %k0, t0] : vector<3x8xf32>, memref<4x40x8xf32, "packed">
        }
        loop.if %k0 - 61 >= 0 {
          %block_tail_rest = loop.load %x[72 + t0, 96 + t1] : memref<75x101xf32> to vector<3x5xf32>
          loop.store %block_tail_rest, %xp[(72 - %i0) floordiv 8, 96 + t1 - %k0, t0] : vector<3x5xf32>, memref<4x40x8xf32, "packed">
        }
      }
      loop.parallel %j = 0 to 96 step 48 {
        loop.parallel %i = %i0 to min(%i0 + 32, 72) step 8 {
          %zeros = loop.broadcast %zero along [0, 1] : f32 to vector<8x48xf32>
          %product = loop.for %k = %k0 to min(%k0 + 40, 101) carry (%c = %zeros : vector<8x48xf32>) {
            %xv = loop.load %xp[(%i - %i0) floordiv 8, %k - %k0, t0] : memref<4x40x8xf32, "packed"> to vector<8xf32>
            %wv = loop.load %wp[%j floordiv 48, %k - %k0, t0] : memref<3x40x48xf32, "packed"> to vector<48xf32>
            %xx = loop.broadcast %xv along [1] : vector<8xf32> to vector<8x48xf32>
            %ww = loop.broadcast %wv along [0] : vector<48xf32> to vector<8x48xf32>
            %next = math.fma %xx, %ww, %c : vector<8x48xf32>
            loop.yield %next : vector<8x48xf32>
          }
          %sum = loop.if -%k0 >= 0 : vector<8x48xf32> {
            loop.yield %product : vector<8x48xf32>
          } else {
            %waiting = loop.load %y[%i + t0, %j + t1] : memref<75x130xf32> to vector<8x48xf32>
            %both = arith.addf %waiting, %product : vector<8x48xf32>
            loop.yield %both : vector<8x48xf32>
          }
          loop.if %k0 - 61 >= 0 {
            %bv = loop.load %b[%j + t0] : memref<130xf32> to vector<48xf32>
            %bb = loop.broadcast %bv along [0] : vector<48xf32> to vector<8x48xf32>
            %biased = arith.addf %sum, %bb : vector<8x48xf32>
            %floor = loop.broadcast %zero along [0, 1] : f32 to vector<8x48xf32>
            %relu = arith.maximumf %biased, %floor : vector<8x48xf32>
            loop.store %relu, %y[%i + t0, %j + t1] : vector<8x48xf32>, memref<75x130xf32>
          } else {
            loop.store %sum, %y[%i + t0, %j + t1] : vector<8x48xf32>, memref<75x130xf32>
          }
        }
        loop.if %i0 - 43 >= 0 {
          %zeros_rows = loop.broadcast %zero along [0, 1] : f32 to vector<3x48xf32>
          %product_rows = loop.for %k_rows as k = %k0 to min(%k0 + 40, 101) carry (%c_rows = %zeros_rows : vector<3x48xf32>) {
            %xv_rows = loop.load %xp[(72 - %i0) floordiv 8, %k_rows - %k0, t0] : memref<4x40x8xf32, "packed"> to vector<3xf32>
            %wv_rows = loop.load %wp[%j floordiv 48, %k_rows - %k0, t0] : memref<3x40x48xf32, "packed"> to vector<48xf32>
            %xx_rows = loop.broadcast %xv_rows along [1] : vector<3xf32> to vector<3x48xf32>
            %ww_rows = loop.broadcast %wv_rows along [0] : vector<48xf32> to vector<3x48xf32>
            %next_rows = math.fma %xx_rows, %ww_rows, %c_rows : vector<3x48xf32>
            loop.yield %next_rows : vector<3x48xf32>
          }
          %sum_rows = loop.if -%k0 >= 0 : vector<3x48xf32> {
            loop.yield %product_rows : vector<3x48xf32>
          } else {
            %waiting_rows = loop.load %y[72 + t0, %j + t1] : memref<75x130xf32> to vector<3x48xf32>
            %both_rows = arith.addf %waiting_rows, %product_rows : vector<3x48xf32>
            loop.yield %both_rows : vector<3x48xf32>
          }
          loop.if %k0 - 61 >= 0 {
            %bv_rows = loop.load %b[%j + t0] : memref<130xf32> to vector<48xf32>
            %bb_rows = loop.broadcast %bv_rows along [0] : vector<48xf32> to vector<3x48xf32>
            %biased_rows = arith.addf %sum_rows, %bb_rows : vector<3x48xf32>
            %floor_rows = loop.broadcast %zero along [0, 1] : f32 to vector<3x48xf32>
            %relu_rows = arith.maximumf %biased_rows, %floor_rows : vector<3x48xf32>
            loop.store %relu_rows, %y[72 + t0, %j + t1] : vector<3x48xf32>, memref<75x130xf32>
          } else {
            loop.store %sum_rows, %y[72 + t0, %j + t1] : vector<3x48xf32>, memref<75x130xf32>
          }
        }
      }
      loop.parallel %i_columns as i = %i0 to min(%i0 + 32, 72) step 8 {
        %zeros_columns = loop.broadcast %zero along [0, 1] : f32 to vector<8x34xf32>
        %product_columns = loop.for %k_columns as k = %k0 to min(%k0 + 40, 101) carry (%c_columns = %zeros_columns : vector<8x34xf32>) {
          %xv_columns = loop.load %xp[(%i_columns - %i0) floordiv 8, %k_columns - %k0, t0] : memref<4x40x8xf32, "packed"> to vector<8xf32>
          %wv_columns = loop.load %wp[2, %k_columns - %k0, t0] : memref<3x40x48xf32, "packed"> to vector<34xf32>
          %xx_columns = loop.broadcast %xv_columns along [1] : vector<8xf32> to vector<8x34xf32>
          %ww_columns = loop.broadcast %wv_columns along [0] : vector<34xf32> to vector<8x34xf32>
          %next_columns = math.fma %xx_columns, %ww_columns, %c_columns : vector<8x34xf32>
          loop.yield %next_columns : vector<8x34xf32>
        }
        %sum_columns = loop.if -%k0 >= 0 : vector<8x34xf32> {
          loop.yield %product_columns : vector<8x34xf32>
        } else {
          %waiting_columns = loop.load %y[%i_columns + t0, 96 + t1] : memref<75x130xf32> to vector<8x34xf32>
          %both_columns = arith.addf %waiting_columns, %product_columns : vector<8x34xf32>
          loop.yield %both_columns : vector<8x34xf32>
        }
        loop.if %k0 - 61 >= 0 {
          %bv_columns = loop.load %b[96 + t0] : memref<130xf32> to vector<34xf32>
          %bb_columns = loop.broadcast %bv_columns along [0] : vector<34xf32> to vector<8x34xf32>
          %biased_columns = arith.addf %sum_columns, %bb_columns : vector<8x34xf32>
          %floor_columns = loop.broadcast %zero along [0, 1] : f32 to vector<8x34xf32>
          %relu_columns = arith.maximumf %biased_columns, %floor_columns : vector<8x34xf32>
          loop.store %relu_columns, %y[%i_columns + t0, 96 + t1] : vector<8x34xf32>, memref<75x130xf32>
        } else {
          loop.store %sum_columns, %y[%i_columns + t0, 96 + t1] : vector<8x34xf32>, memref<75x130xf32>
        }
      }
      loop.if %i0 - 43 >= 0 {
        %zeros_rows_columns = loop.broadcast %zero along [0, 1] : f32 to vector<3x34xf32>
        %product_rows_columns = loop.for %k_rows_columns as k = %k0 to min(%k0 + 40, 101) carry (%c_rows_columns = %zeros_rows_columns : vector<3x34xf32>) {
          %xv_rows_columns = loop.load %xp[(72 - %i0) floordiv 8, %k_rows_columns - %k0, t0] : memref<4x40x8xf32, "packed"> to vector<3xf32>
          %wv_rows_columns = loop.load %wp[2, %k_rows_columns - %k0, t0] : memref<3x40x48xf32, "packed"> to vector<34xf32>
          %xx_rows_columns = loop.broadcast %xv_rows_columns along [1] : vector<3xf32> to vector<3x34xf32>
          %ww_rows_columns = loop.broadcast %wv_rows_columns along [0] : vector<34xf32> to vector<3x34xf32>
          %next_rows_columns = math.fma %xx_rows_columns, %ww_rows_columns, %c_rows_columns : vector<3x34xf32>
          loop.yield %next_rows_columns : vector<3x34xf32>
        }
        %sum_rows_columns = loop.if -%k0 >= 0 : vector<3x34xf32> {
          loop.yield %product_rows_columns : vector<3x34xf32>
        } else {
          %waiting_rows_columns = loop.load %y[72 + t0, 96 + t1] : memref<75x130xf32> to vector<3x34xf32>
          %both_rows_columns = arith.addf %waiting_rows_columns, %product_rows_columns : vector<3x34xf32>
          loop.yield %both_rows_columns : vector<3x34xf32>
        }
        loop.if %k0 - 61 >= 0 {
          %bv_rows_columns = loop.load %b[96 + t0] : memref<130xf32> to vector<34xf32>
          %bb_rows_columns = loop.broadcast %bv_rows_columns along [0] : vector<34xf32> to vector<3x34xf32>
          %biased_rows_columns = arith.addf %sum_rows_columns, %bb_rows_columns : vector<3x34xf32>
          %floor_rows_columns = loop.broadcast %zero along [0, 1] : f32 to vector<3x34xf32>
          %relu_rows_columns = arith.maximumf %biased_rows_columns, %floor_rows_columns : vector<3x34xf32>
          loop.store %relu_rows_columns, %y[72 + t0, 96 + t1] : vector<3x34xf32>, memref<75x130xf32>
        } else {
          loop.store %sum_rows_columns, %y[72 + t0, 96 + t1] : vector<3x34xf32>, memref<75x130xf32>
        }
      }
    }
  }
}
func.func @main(%x: memref<75x101xf32>, %w: memref<101x130xf32>, %b: memref<130xf32>, %y: memref<75x130xf32> {buffer.output}) {
  loop.launch @linear_relu(%x, %w, %b, %y) : memref<75x101xf32>, memref<101x130xf32>, memref<130xf32>, memref<75x130xf32>
  func.return
}

// Causal attention without the matrix of scores (M. Milakov and N. Gimelshein, "Online normalizer
// calculation for softmax", 2018): keys come in blocks of 16, and a running maximum, a running sum
// and the output so far are scaled whenever the maximum grows. Keys are transposed once a head, so
// that 16 of them lie side by side. The last block of 40 keys reaches out of bounds: padding reads
// zeros there, and the mask excludes them together with the keys after the query.
loop.kernel @attention(%q: memref<3x40x24xf32>, %k: memref<3x40x24xf32>, %v: memref<3x40x24xf32>, %o: memref<3x40x24xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant -1.0e30 : f32
  %scale = arith.constant 0.204124145 : f32
  loop.parallel %h = 0 to 3 mapping threads {
    %kt = loop.alloc : memref<24x48xf32, "packed">
    %p = loop.alloc : memref<16xf32, "stack">
    loop.parallel %d = 0 to 24 {
      loop.parallel %t = 0 to 48 step 16 {
        %column = loop.load %k[%h, %t + t0, %d] pad : memref<3x40x24xf32> to vector<16xf32>
        loop.store %column, %kt[%d, %t + t0] : vector<16xf32>, memref<24x48xf32, "packed">
      }
    }
    loop.for %i = 0 to 40 {
      %zeros = loop.broadcast %zero along [0] : f32 to vector<16xf32>
      %lows = loop.broadcast %low along [0] : f32 to vector<16xf32>
      %scales = loop.broadcast %scale along [0] : f32 to vector<16xf32>
      %row = loop.index %i : i32
      %rows = loop.broadcast %row along [0] : i32 to vector<16xi32>
      %start = loop.broadcast %zero along [0] : f32 to vector<24xf32>
      %max, %sum, %acc = loop.for %j = 0 to %i + 1 step 16 carry (%m = %low : f32, %l = %zero : f32, %c = %start : vector<24xf32>) {
        %s = loop.for %e = 0 to 24 carry (%part = %zeros : vector<16xf32>) {
          %qe = loop.load %q[%h, %i, %e] : memref<3x40x24xf32>
          %qs = loop.broadcast %qe along [0] : f32 to vector<16xf32>
          %ke = loop.load %kt[%e, %j + t0] : memref<24x48xf32, "packed"> to vector<16xf32>
          %next = math.fma %qs, %ke, %part : vector<16xf32>
          loop.yield %next : vector<16xf32>
        }
        %scaled = arith.mulf %s, %scales : vector<16xf32>
        %columns = loop.index %j + t0 : vector<16xi32>
        %visible = loop.compare le %columns, %rows : vector<16xi32>
        %masked = loop.select %visible, %scaled, %lows : vector<16xf32>
        %block_max = loop.fold max %masked : vector<16xf32> to f32
        %new_max = arith.maximumf %m, %block_max : f32
        %new_maxes = loop.broadcast %new_max along [0] : f32 to vector<16xf32>
        %shifted = arith.subf %masked, %new_maxes : vector<16xf32>
        %weights = math.exp %shifted : vector<16xf32>
        loop.store %weights, %p[t0] : vector<16xf32>, memref<16xf32, "stack">
        %drop = arith.subf %m, %new_max : f32
        %correction = math.exp %drop : f32
        %block_sum = loop.fold add %weights : vector<16xf32> to f32
        %new_sum = math.fma %l, %correction, %block_sum : f32
        %corrections = loop.broadcast %correction along [0] : f32 to vector<24xf32>
        %old = arith.mulf %c, %corrections : vector<24xf32>
        %new = loop.for %t = 0 to 16 carry (%part = %old : vector<24xf32>) {
          %w = loop.load %p[%t] : memref<16xf32, "stack">
          %ws = loop.broadcast %w along [0] : f32 to vector<24xf32>
          %vt = loop.load %v[%h, %j + %t, t0] pad : memref<3x40x24xf32> to vector<24xf32>
          %next = math.fma %ws, %vt, %part : vector<24xf32>
          loop.yield %next : vector<24xf32>
        }
        loop.yield %new_max, %new_sum, %new : f32, f32, vector<24xf32>
      }
      %sums = loop.broadcast %sum along [0] : f32 to vector<24xf32>
      %result = arith.divf %acc, %sums : vector<24xf32>
      loop.store %result, %o[%h, %i, t0] : vector<24xf32>, memref<3x40x24xf32>
    }
  }
}
func.func @main(%q: memref<3x40x24xf32>, %k: memref<3x40x24xf32>, %v: memref<3x40x24xf32>, %o: memref<3x40x24xf32> {buffer.output}) {
  loop.launch @attention(%q, %k, %v, %o) : memref<3x40x24xf32>, memref<3x40x24xf32>, memref<3x40x24xf32>, memref<3x40x24xf32>
  func.return
}

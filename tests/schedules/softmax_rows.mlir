// Softmax of each row, three passes over a row that stays in cache: maximum, sum of exponentials
// (kept in the output meanwhile), scaling. Threads share chunks of four rows; a row of 203 is
// twelve vectors of 16 lanes and one of 11.
loop.kernel @softmax(%x: memref<33x203xf32>, %y: memref<33x203xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  loop.parallel %chunk = 0 to 33 step 4 mapping threads {
    loop.parallel %i = %chunk to min(%chunk + 4, 33) {
      %lows = loop.broadcast %low along [0] : f32 to vector<16xf32>
      %m = loop.for %a = 0 to 192 step 16 carry (%c = %lows : vector<16xf32>) {
        %v = loop.load %x[%i, %a + t0] : memref<33x203xf32> to vector<16xf32>
        %n = arith.maximumf %c, %v : vector<16xf32>
        loop.yield %n : vector<16xf32>
      }
      %m_head = loop.fold max %m : vector<16xf32> to f32
      %rest = loop.load %x[%i, 192 + t0] : memref<33x203xf32> to vector<11xf32>
      %m_tail = loop.fold max %rest : vector<11xf32> to f32
      %max = arith.maximumf %m_head, %m_tail : f32

      %max16 = loop.broadcast %max along [0] : f32 to vector<16xf32>
      %zeros = loop.broadcast %zero along [0] : f32 to vector<16xf32>
      %s = loop.for %b = 0 to 192 step 16 carry (%c = %zeros : vector<16xf32>) {
        %v = loop.load %x[%i, %b + t0] : memref<33x203xf32> to vector<16xf32>
        %d = arith.subf %v, %max16 : vector<16xf32>
        %e = math.exp %d : vector<16xf32>
        loop.store %e, %y[%i, %b + t0] : vector<16xf32>, memref<33x203xf32>
        %n = arith.addf %c, %e : vector<16xf32>
        loop.yield %n : vector<16xf32>
      }
      %max11 = loop.broadcast %max along [0] : f32 to vector<11xf32>
      %d_tail = arith.subf %rest, %max11 : vector<11xf32>
      %e_tail = math.exp %d_tail : vector<11xf32>
      %s_head = loop.fold add %s : vector<16xf32> to f32
      %s_tail = loop.fold add %e_tail : vector<11xf32> to f32
      %sum = arith.addf %s_head, %s_tail : f32
      %scale = arith.divf %one, %sum : f32

      %scale16 = loop.broadcast %scale along [0] : f32 to vector<16xf32>
      loop.parallel %j = 0 to 192 step 16 {
        %e = loop.load %y[%i, %j + t0] : memref<33x203xf32> to vector<16xf32>
        %r = arith.mulf %e, %scale16 : vector<16xf32>
        loop.store %r, %y[%i, %j + t0] : vector<16xf32>, memref<33x203xf32>
      }
      %scale11 = loop.broadcast %scale along [0] : f32 to vector<11xf32>
      %r_tail = arith.mulf %e_tail, %scale11 : vector<11xf32>
      loop.store %r_tail, %y[%i, 192 + t0] : vector<11xf32>, memref<33x203xf32>
    }
  }
}
func.func @main(%x: memref<33x203xf32>, %y: memref<33x203xf32> {buffer.output, pico.name = "probabilities"}) {
  loop.launch @softmax(%x, %y) : memref<33x203xf32>, memref<33x203xf32>
  func.return
}

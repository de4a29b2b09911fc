// The sum of many numbers as a tree: threads sum chunks of 4096 into four accumulators of 16
// lanes each, which hides the latency of an addition and keeps rounding errors small; a second
// loop adds the partial sums. The shape of the tree does not depend on the number of threads.
loop.kernel @sum(%x: memref<50003xf32>, %y: memref<f32>) {
  %zero = arith.constant 0.0 : f32
  %partial = loop.alloc : memref<13xf32, "packed">
  loop.parallel %chunk = 0 to 50003 step 4096 mapping threads {
    %zeros = loop.broadcast %zero along [0] : f32 to vector<16xf32>
    %a, %b, %c, %d = loop.for %i = %chunk to min(%chunk + 4096, 49984) step 64 carry (%p = %zeros : vector<16xf32>, %q = %zeros : vector<16xf32>, %r = %zeros : vector<16xf32>, %s = %zeros : vector<16xf32>) {
      %p_in = loop.load %x[%i + t0] : memref<50003xf32> to vector<16xf32>
      %q_in = loop.load %x[%i + t0 + 16] : memref<50003xf32> to vector<16xf32>
      %r_in = loop.load %x[%i + t0 + 32] : memref<50003xf32> to vector<16xf32>
      %s_in = loop.load %x[%i + t0 + 48] : memref<50003xf32> to vector<16xf32>
      %p_next = arith.addf %p, %p_in : vector<16xf32>
      %q_next = arith.addf %q, %q_in : vector<16xf32>
      %r_next = arith.addf %r, %r_in : vector<16xf32>
      %s_next = arith.addf %s, %s_in : vector<16xf32>
      loop.yield %p_next, %q_next, %r_next, %s_next : vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>
    }
    %ab = arith.addf %a, %b : vector<16xf32>
    %cd = arith.addf %c, %d : vector<16xf32>
    %abcd = arith.addf %ab, %cd : vector<16xf32>
    %sum = loop.fold add %abcd : vector<16xf32> to f32
    loop.store %sum, %partial[%chunk floordiv 4096] : f32, memref<13xf32, "packed">
  }
  %rest = loop.load %x[49984 + t0] : memref<50003xf32> to vector<19xf32>
  %tail = loop.fold add %rest : vector<19xf32> to f32
  %parts = loop.load %partial[t0] : memref<13xf32, "packed"> to vector<13xf32>
  %head = loop.fold add %parts : vector<13xf32> to f32
  %total = arith.addf %head, %tail : f32
  loop.store %total, %y[] : f32, memref<f32>
}
func.func @main(%x: memref<50003xf32>, %y: memref<f32> {buffer.output}) {
  loop.launch @sum(%x, %y) : memref<50003xf32>, memref<f32>
  func.return
}

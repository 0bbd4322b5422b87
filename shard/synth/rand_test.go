package synth
import ("testing";"github.com/sullae/sullae/kernels/tensor")
func BenchmarkFill(b *testing.B){ for _,d:=range []tensor.DType{tensor.F32,tensor.BF16,tensor.F16}{ b.Run(d.String(),func(b *testing.B){ buf:=make([]byte,chunkBytes); b.SetBytes(chunkBytes); s:=stream{1,0,0.02}; for b.Loop(){ s.fill(buf,0,d)}})}}

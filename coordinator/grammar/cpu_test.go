package grammar
import ("testing";"syscall";"time";"runtime";"sort")
func cpu() time.Duration { var r syscall.Rusage; syscall.Getrusage(1,&r); return time.Duration(r.Utime.Nano()+r.Stime.Nano()) }
func TestCPU(t *testing.T){
 runtime.LockOSThread()
 for name,compile:=range benchGrammars(nil){
  c0:=cpu(); for range 5 {compile()}; ct:=(cpu()-c0)/5
  g,_:=compile(); v:=bigVocab(); mask:=make([]uint64,v.MaskWords())
  s:=newSampler(v,1)
  var texts [][]int32
  for range 8 { m:=g.Start(v); var tk []int32
   for n:=0;n<200&&!m.Ended();n++{ id:=s.choose(s.allowed(m),n>60); m.Accept(id); tk=append(tk,id)}; texts=append(texts,tk)}
  g.cacheFor(v).clear()
  var each []float64
  for _,tk:=range texts { m:=g.Start(v); for _,id:=range tk { a:=cpu(); m.Mask(mask); m.Accept(id); each=append(each,float64(cpu()-a)/1e3)}}
  sum:=0.; for _,x:=range each {sum+=x}
  sort.Float64s(each)
  n:=len(each)
  t0:=cpu(); w:=0
  for range 20 {for _,tk:=range texts { m:=g.Start(v); for _,id:=range tk { m.Mask(mask); m.Accept(id);w++}}}
  t.Logf("%s: compile %v; first 8 texts: mean %.0f p50 %.0f p99 %.0f max %.0f µs (%d steps); warm %v/step; cache %d KB pieces %d", name, ct, sum/float64(n), each[n/2], each[n*99/100], each[n-1], n, (cpu()-t0)/time.Duration(w), g.cacheFor(v).bytes>>10, len(g.cacheFor(v).pieces))
 }
 c0:=cpu(); l:=bigList(102400); c1:=cpu(); NewVocabulary(l,nil); t.Log("vocab",cpu()-c1, c1-c0)
}

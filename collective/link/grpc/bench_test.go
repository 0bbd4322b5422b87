package grpclink

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/colltest"
	"github.com/sullae/sullae/kernels/tree"
)

// peerEnv makes the test binary be rank 1 of a group of two processes; its value is
// the address of rank 0, and "memory" where frames may go through memory.
const peerEnv = "SULLAE_BENCH_PEER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(peerEnv); addr != "" {
		benchPeer(addr)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// twoProcesses is a group of this process and one that does what benchPeer does, and
// the address at which that one echoes.
func twoProcesses(t testing.TB, tuning collective.Tuning, memory bool) (comm collective.Communicator, echo string, child *os.Process) {
	t.Helper()
	n := newNode(t, HubOptions{SharedMemory: memory, SpinRanks: 2})
	cmd := exec.Command(os.Args[0])
	value := n.addr
	if memory {
		value += " memory"
	}
	cmd.Env = append(os.Environ(), peerEnv+"="+value)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGCONT) })
	var peer string
	if _, err := fmt.Fscan(bufio.NewReader(out), &peer, &echo); err != nil {
		t.Fatal(err)
	}
	comm, err = n.hub.Join(t.Context(), Formation{Tuning: tuning, Group: "bench", Epoch: 1, Rank: 0, WorldSize: 2, Peers: []string{n.addr, peer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { comm.Close() })
	return comm, echo, cmd.Process
}

// order has rank 1 do count all-reduces of size bytes; size 0 ends it.
func order(t testing.TB, comm collective.Communicator, size, count int) {
	t.Helper()
	msg := binary.LittleEndian.AppendUint64(nil, uint64(size))
	msg = binary.LittleEndian.AppendUint64(msg, uint64(count))
	if _, err := comm.AllGather(t.Context(), collective.Tag{}, msg); err != nil {
		t.Fatal(err)
	}
}

var benchSizes = []int{16 << 10, 128 << 10, 1 << 20, 8 << 20}

// benchShares: two leaves a rank, so that each rank sends one part.
func benchSum(n, rank, bytes int) (collective.Summands, []float32) {
	shares := colltest.EvenShares(2*n, n)
	s := collective.Summands{Leaves: 2 * n, Shares: shares}
	for range tree.Maximal(2*n, shares[rank]) {
		s.Parts = append(s.Parts, make([]float32, bytes/4))
	}
	return s, make([]float32, bytes/4)
}

// BenchmarkAllReduce is two OS processes, over loopback TCP or through memory: the
// latency of an all-reduce, and in the same run the round trip of as many bytes over
// a bare TCP connection between the same processes. GB/s counts both directions.
func BenchmarkAllReduce(b *testing.B) {
	b.Run("grpc", func(b *testing.B) { benchAllReduce(b, false) })
	b.Run("memory", func(b *testing.B) { benchAllReduce(b, true) })
}

func benchAllReduce(b *testing.B, memory bool) {
	ctx := b.Context()
	comm, echo, _ := twoProcesses(b, envTuning(), memory)
	raw, err := net.Dial("tcp", echo)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()

	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, dst := benchSum(2, 0, size)
			order(b, comm, size, b.N)
			took := make([]time.Duration, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			for i := range took {
				t0 := time.Now()
				if err := comm.AllReduce(ctx, collective.Tag{Step: uint64(i)}, s, dst); err != nil {
					b.Fatal(err)
				}
				took[i] = time.Since(t0)
			}
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs")
			report(b, "", took, 2*size)
			trips := make([]time.Duration, min(b.N, 500))
			buf := make([]byte, size)
			for i := range trips {
				t0 := time.Now()
				go raw.Write(buf) // beyond the socket buffers both ends must read
				if _, err := io.ReadFull(raw, buf); err != nil {
					b.Fatal(err)
				}
				trips[i] = time.Since(t0)
			}
			report(b, "tcp-rtt-", trips, 0)
		})
	}
	order(b, comm, 0, 0)
}

// cpuTime is what this process has spent on its processors, which other load on
// the machine changes less than latencies.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, prefix string, took []time.Duration, bytes int) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1e3 }
	b.ReportMetric(at(0.5), prefix+"p50-µs")
	b.ReportMetric(at(0.99), prefix+"p99-µs")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/at(0.5)/1e3, "GB/s")
	}
}

// benchPeer is rank 1: it does what rank 0 orders until the size is 0.
func benchPeer(rank0 string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "rank 1:", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	t := new(testing.B)
	rank0, memory, _ := strings.Cut(rank0, " ")
	n := newNode(t, HubOptions{SharedMemory: memory != "", SpinRanks: 2})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(n.addr, lis.Addr())
	go func() {
		c, err := lis.Accept()
		check(err)
		io.Copy(c, struct{ io.Reader }{c}) // no splice: the bytes pass through memory
	}()
	comm, err := n.hub.Join(ctx, Formation{Tuning: envTuning(), Group: "bench", Epoch: 1, Rank: 1, WorldSize: 2, Peers: []string{rank0, n.addr}})
	check(err)
	for {
		got, err := comm.AllGather(ctx, collective.Tag{}, nil)
		check(err)
		size, count := binary.LittleEndian.Uint64(got[0]), binary.LittleEndian.Uint64(got[0][8:])
		if size == 0 {
			comm.Close()
			return
		}
		s, dst := benchSum(2, 1, int(size))
		for i := range count {
			check(comm.AllReduce(ctx, collective.Tag{Step: i}, s, dst))
		}
	}
}

// BenchmarkHops finds where two hops get faster than one: all ranks as servers in
// this process, which competes with itself for the cores.
func BenchmarkHops(b *testing.B) {
	tables := map[string]allreduce.Table{"one": allreduce.OneHop, "two": allreduce.TwoHops}
	for _, n := range []int{2, 3, 4, 8} {
		for _, name := range []string{"one", "two"} {
			nodes, peers := newNodes(b, n)
			comms := joinAll(b, nodes, Formation{Group: "bench", Epoch: 1, Peers: peers,
				Tuning: collective.Tuning{Table: tables[name]}})
			for kib := 4; kib <= 8192; kib *= 2 {
				b.Run(fmt.Sprintf("n=%d/%dKiB/%s", n, kib, strings.ToLower(name)), func(b *testing.B) {
					took := make([]time.Duration, b.N)
					for r, err := range colltest.Each(comms, func(r int, c collective.Communicator) error {
						s, dst := benchSum(n, r, kib<<10)
						for i := range took {
							t0 := time.Now()
							if err := c.AllReduce(b.Context(), collective.Tag{Step: uint64(i)}, s, dst); err != nil {
								return err
							}
							if r == 0 {
								took[i] = time.Since(t0)
							}
						}
						return nil
					}) {
						if err != nil {
							b.Fatal(r, err)
						}
					}
					report(b, "", took, 0)
				})
			}
			for _, nd := range nodes {
				nd.stop()
			}
		}
	}
}

func envTuning() collective.Tuning {
	var k int
	fmt.Sscan(os.Getenv("CHUNK"), &k)
	return collective.Tuning{ChunkBytes: k << 10}
}

package allreduce

// Threshold says up to how many bytes one hop is the faster way for groups of at
// least World ranks.
type Threshold struct {
	World       int
	OneHopBytes int
}

// Table chooses between one hop and two. The choice changes the time, never the
// bits. Entries are in order of World.
type Table []Threshold

// Default follows BenchmarkHops in collective/link/grpc: all ranks as servers in
// one process on two cores, over loopback TCP, p50 of all-reduces of 4 KiB to
// 8 MiB with one part a rank. Two hops were faster beyond 256 KiB (and by less
// than 60 µs from 16 KiB on) with 2 ranks, beyond 32 KiB with 3, 4 and 8. Between
// hosts a hop costs more than in one process, and an all-reduce the less the more
// cores there are, so the table stays with one hop a step longer, except where
// it sends seven copies.
var Default = Table{
	{World: 2, OneHopBytes: 512 << 10},
	{World: 3, OneHopBytes: 64 << 10},
	{World: 8, OneHopBytes: 32 << 10},
}

// OneHop and TwoHops are tables that always choose the one or the other.
var (
	OneHop  = Table{{World: 0, OneHopBytes: 1 << 62}}
	TwoHops = Table{{World: 0, OneHopBytes: -1}}
)

// Hops is 1 or 2 for a group of world ranks of which one sends bytes to each
// peer with one hop. Groups smaller than all entries take one hop.
func (t Table) Hops(world, bytes int) int {
	hops := 1
	for _, e := range t {
		if world >= e.World {
			hops = 1
			if bytes > e.OneHopBytes {
				hops = 2
			}
		}
	}
	if world < 2 {
		return 1
	}
	return hops
}

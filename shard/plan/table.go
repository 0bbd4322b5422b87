package plan

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
)

// Span is a half-open range [From, To).
type Span struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// String shows first and last: "0-10", "3", "-".
func (s Span) String() string {
	switch s.To - s.From {
	case 0:
		return "-"
	case 1:
		return fmt.Sprint(s.From)
	}
	return fmt.Sprintf("%d-%d", s.From, s.To-1)
}

// Row is one rank's line of a table.
type Row struct {
	Rank            int   `json:"rank"`
	Heads           Span  `json:"heads"`
	KVHeads         Span  `json:"kv_heads"`
	FFN             Span  `json:"ffn"`
	Vocab           Span  `json:"vocab"`
	WeightBytes     int64 `json:"weight_bytes"`
	KVBytesPerToken int64 `json:"kv_bytes_per_token"`
}

// Table is a plan for people and for JSON, one row per rank.
type Table []Row

// TableOf lays out a plan of a model.
func TableOf(s *model.Spec, p Plan, types Types, kv kernels.KVType) Table {
	span := func(r tree.Range) Span { return Span{r.Lo, r.Hi} }
	t := make(Table, p.WorldSize())
	for rank, share := range p.Shares {
		t[rank] = Row{
			Rank:            rank,
			Heads:           span(share.Heads),
			KVHeads:         span(p.Units.KVRange(share)),
			FFN:             span(p.Units.FFNRange(share)),
			Vocab:           span(p.Units.VocabRange(share)),
			WeightBytes:     WeightBytes(s, p, rank, types),
			KVBytesPerToken: KVBytesPerToken(s, p, rank, kv),
		}
	}
	return t
}

// String is the table as aligned text, sums in the last line.
func (t Table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "rank\theads\tKV heads\tFFN\tvocabulary\tweights\tKV / 1,000 tokens\t")
	var weights, kv int64
	for _, r := range t {
		fmt.Fprintf(w, "%d\t%v\t%v\t%v\t%v\t%s\t%s\t\n", r.Rank, r.Heads, r.KVHeads, r.FFN, r.Vocab,
			size(r.WeightBytes), size(1000*r.KVBytesPerToken))
		weights += r.WeightBytes
		kv += r.KVBytesPerToken
	}
	fmt.Fprintf(w, "sum\t\t\t\t\t%s\t%s\t\n", size(weights), size(1000*kv))
	w.Flush() // to memory: cannot fail
	return b.String()
}

// size shows bytes with three or four digits and a binary unit.
func size(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n)/1024, 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if v < 100 {
		return fmt.Sprintf("%.2f %s", v, units[i])
	}
	return fmt.Sprintf("%.0f %s", v, units[i])
}

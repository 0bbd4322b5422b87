package memlink_test

import (
	"testing"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/colltest"
	memlink "github.com/sullae/sullae/collective/link/mem"
)

func cluster(pieces int) colltest.NewCluster {
	return func(t *testing.T, n int, tuning collective.Tuning) colltest.Cluster {
		groups, net := memlink.New(n, memlink.Options{Epoch: 3, Tuning: tuning, Pieces: pieces})
		c := colltest.Cluster{Kill: net.Kill}
		for _, g := range groups {
			t.Cleanup(func() { g.Close() })
			c.Ranks = append(c.Ranks, g)
		}
		return c
	}
}

func TestSuite(t *testing.T) { colltest.RunAll(t, cluster(0)) }

// TestSuiteInPieces cuts payloads so that floats straddle pieces.
func TestSuiteInPieces(t *testing.T) { colltest.RunAll(t, cluster(1021)) }

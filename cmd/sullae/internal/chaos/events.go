package chaos

import (
	"bytes"
	"encoding/json"
	"time"
)

// event is a line of a process's log that tells of an epoch, a load or a leader.
type event struct {
	node *node
	Time time.Time `json:"time"`
	Msg  string    `json:"msg"`
	// Of a "share loaded": bytes from the coordinator, and from other workers.
	BytesRead      int64  `json:"bytes_read"`
	BytesFromPeers int64  `json:"bytes_from_peers"`
	Epoch          uint64 `json:"epoch"`
	Workers        int    `json:"workers"`
	Err            string `json:"err"`
	Because        string `json:"because"` // of an "epoch ends"
}

// Messages that are looked for.
const (
	epochEnded    = "epoch ended" // by a failure
	epochEnds     = "epoch ends"  // because workers come or go
	epochServing  = "epoch serving"
	epochRecorded = "epoch recorded" // in an etcd that was away
	shareLoaded   = "share loaded"
	leading       = "leading"
)

// logged notes a line of a log.
func (c *Cluster) logged(n *node, line []byte) {
	interesting := false
	for _, m := range []string{epochEnded, epochEnds, epochServing, epochRecorded, shareLoaded, leading} {
		interesting = interesting || bytes.Contains(line, []byte(`"msg":"`+m+`"`))
	}
	if bytes.Contains(line, []byte("panic:")) || bytes.Contains(line, []byte("fatal error:")) {
		c.violate("%s: %s", n.name, line)
	}
	if !interesting {
		return
	}
	e := event{node: n}
	if json.Unmarshal(line, &e) != nil {
		return
	}
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
}

// loaded sums up what was loaded from the coordinator and from other workers.
func (c *Cluster) loaded(t time.Time) (coordinator, peers int64) {
	for _, e := range c.since(t, shareLoaded) {
		coordinator += e.BytesRead
		peers += e.BytesFromPeers
	}
	return coordinator, peers
}

// since lists the events with one of the messages from t on.
func (c *Cluster) since(t time.Time, messages ...string) (out []event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		for _, m := range messages {
			if e.Msg == m && !e.Time.Before(t) {
				out = append(out, e)
			}
		}
	}
	return out
}

package member

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func start(t *testing.T, cfg Config) *Members {
	t.Helper()
	cfg.BindAddr = "127.0.0.1"
	m, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// await reads events until one is of the type and name wanted.
func await(t *testing.T, m *Members, want EventType, name string) Event {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case e := <-m.Events():
			if e.Type == want && e.Node.Name == name {
				return e
			}
		case <-late:
			t.Fatalf("%s: no event that %s %s", m.Self().Name, name, want)
		}
	}
}

// TestLoopback: three nodes over real UDP join, change, die, leave and come back.
func TestLoopback(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	key := bytes.Repeat([]byte{7}, 32)
	var nodes []*Members
	for i := range 3 {
		m := start(t, Config{Name: fmt.Sprint("w", i), Key: key, Cluster: "test", Meta: []byte{byte(i)}})
		if i > 0 {
			if err := m.Join([]string{nodes[0].Self().Addr}); err != nil {
				t.Fatal(err)
			}
		}
		nodes = append(nodes, m)
	}
	first := await(t, nodes[0], Joined, "w2")
	if !bytes.Equal(first.Node.Meta, []byte{2}) {
		t.Errorf("meta %v", first.Node.Meta)
	}
	if err := nodes[2].SetMeta([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if e := await(t, nodes[0], Updated, "w2"); string(e.Node.Meta) != "new" {
		t.Errorf("meta %q", e.Node.Meta)
	}

	nodes[2].Close() // as a crash
	died := time.Now()
	await(t, nodes[0], Gone, "w2")
	t.Logf("a dead node was noticed after %v", time.Since(died).Round(time.Millisecond))
	if n := len(nodes[0].Alive()); n != 2 {
		t.Errorf("%d alive, want 2", n)
	}

	again := start(t, Config{Name: "w2", Key: key, Cluster: "test"})
	if err := again.Join([]string{nodes[1].Self().Addr}); err != nil {
		t.Fatal(err)
	}
	if e := await(t, nodes[0], Joined, "w2"); e.Node.ID == first.Node.ID {
		t.Error("two incarnations have one ID")
	}
	if err := nodes[1].Leave(time.Second); err != nil {
		t.Error(err)
	}
	await(t, nodes[0], Gone, "w1")
}

// TestStrangers: another key or cluster is not let in.
func TestStrangers(t *testing.T) {
	a := start(t, Config{Name: "a", Key: bytes.Repeat([]byte{1}, 16), Cluster: "one"})
	for _, c := range []Config{
		{Name: "b", Key: bytes.Repeat([]byte{2}, 16), Cluster: "one"},
		{Name: "b", Cluster: "one"},
		{Name: "b", Key: bytes.Repeat([]byte{1}, 16), Cluster: "two"},
	} {
		b := start(t, c)
		if err := b.Join([]string{a.Self().Addr}); err == nil || !strings.Contains(err.Error(), "nobody answers") {
			t.Errorf("%+v: %v", c, err)
		}
		if n := len(a.Alive()); n != 1 {
			t.Errorf("%d alive", n)
		}
	}
}

func TestConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"gossip key of 5 bytes": {Name: "a", Key: []byte("short")},
		"name":                  {},
		"meta of 600 bytes":     {Name: "a", Meta: make([]byte, 600)},
		"bad port":              {Name: "a", Advertise: "10.0.0.1:x"},
		"name the port":         {Name: "a", Advertise: "10.0.0.1:70"},
		"has no IP":             {Name: "a", Advertise: "no.such.host.invalid"},
	} {
		if m, err := Start(c); err == nil {
			m.Close()
			t.Errorf("%s: no error", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	a := start(t, Config{Name: "a"})
	b, err := Start(Config{Name: "b", BindAddr: "127.0.0.1", BindPort: int(a.list.LocalNode().Port)})
	if err == nil {
		b.Close()
		t.Error("a port in use is no error")
	}
}

// TestSlowReader: nobody reads while nodes come and go; the last word survives.
func TestSlowReader(t *testing.T) {
	a := start(t, Config{Name: "a"})
	for range 3 {
		b := start(t, Config{Name: "b"})
		if err := b.Join([]string{a.Self().Addr}); err != nil {
			t.Fatal(err)
		}
		if err := b.Leave(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]EventType{}
	late := time.After(5 * time.Second)
	for gone := 0; gone < 3; {
		select {
		case e := <-a.Events():
			if e.Node.Name == "b" {
				last[e.Node.ID] = e.Type
			}
			if e.Type == Gone {
				gone++
			}
		case <-late:
			t.Fatal(last)
		}
	}
}

package numa

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain is the test, or a process that binds itself and tells what binds it then.
func TestMain(m *testing.M) {
	if os.Getenv("SULLAE_TEST_BIND") == "" {
		os.Exit(m.Run())
	}
	list, err := Nodes()
	if err == nil {
		err = Bind(list[0])
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	started := make(chan bool) // on some other thread
	go func() { started <- list[0].bound() && Free() > 0 && Beside() >= len(list) }()
	maps, err := os.ReadFile("/proc/self/numa_maps")
	if !<-started || err != nil || !strings.Contains(string(maps), " bind:") {
		os.Stderr.WriteString("not bound")
		os.Exit(1)
	}
	os.Stdout.WriteString("bound to " + list[0].String())
}

// TestBind: a process that binds itself goes on, bound, with all its threads.
func TestBind(t *testing.T) {
	list, err := Nodes()
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SULLAE_TEST_BIND=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "set_mempolicy: operation not permitted") {
		t.Skip(string(out))
	}
	if want := "bound to " + list[0].String(); err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	if Free() != 0 {
		t.Error("this process is bound, too")
	}
}

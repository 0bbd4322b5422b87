//go:build linux && amd64 && !nocuda

package cuda

import (
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxStaticShared is what a block may have of shared memory without asking.
const maxStaticShared = 48 << 10

var (
	sharedArray = regexp.MustCompile(`(?m)^\s*\.shared[^;]*?\.b(8|16|32|64)\s+(\S+?)\[(\d+)\]`)
	localDepot  = regexp.MustCompile(`__local_depot`)
	writes      = regexp.MustCompile(`(?m)^\s*(@\S+\s+)?(st\.(global|[fubsv]\d)|atom\.|red\.)`)
	calls       = regexp.MustCompile(`(?m)^\s*(\.extern\s+\.func|call(\.uni)?\s)`)
)

// lintPTX finds what the driver would accept and a device would suffer from, or
// what would only fail there.
func lintPTX(text, target string) (faults []string) {
	if !strings.Contains(text, "\n.version 8.0\n") || !strings.Contains(text, "\n.target "+target+"\n") {
		faults = append(faults, "not PTX 8.0 for "+target)
	}
	if calls.MatchString(text) {
		faults = append(faults, "a call or an external function")
	}
	if localDepot.MatchString(text) {
		faults = append(faults, "an array in local memory")
	}
	size := map[string]int{}
	for _, m := range sharedArray.FindAllStringSubmatch(text, -1) {
		bits, _ := strconv.Atoi(m[1])
		n, _ := strconv.Atoi(m[3])
		size[m[2]] = bits / 8 * n
	}
	for _, kernel := range strings.Split(text, ".entry ")[1:] {
		name := kernel[:strings.IndexByte(kernel, '(')]
		if target == "sm_90a" {
			before, _, waits := strings.Cut(kernel, "griddepcontrol.wait;")
			if !waits || writes.MatchString(before) {
				faults = append(faults, name+" does not wait for the launches ahead, or writes before")
			}
			if !strings.Contains(before, "griddepcontrol.launch_dependents;") {
				faults = append(faults, name+" does not let the next launch begin")
			}
		}
		sum := 0
		for name := range size {
			if regexp.MustCompile(regexp.QuoteMeta(name) + `\b`).MatchString(kernel) {
				sum += size[name]
			}
		}
		if sum > maxStaticShared {
			faults = append(faults, fmt.Sprintf("%s: %d bytes of static shared memory", name, sum))
		}
	}
	return faults
}

// eachPTX hands over every embedded file.
func eachPTX(t *testing.T, do func(file, target, text string)) {
	files, err := ptx.ReadDir("ptx")
	if err != nil || len(files) < 2 {
		t.Fatalf("no PTX: %v", err)
	}
	for _, f := range files {
		if name, target, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".ptx.gz"), "."); strings.HasSuffix(f.Name(), ".gz") {
			text, err := readPTX(name, target)
			if err != nil {
				t.Fatal(err)
			}
			do(f.Name(), target, string(text))
		}
	}
}

func TestPTX(t *testing.T) {
	found := map[string][]string{} // targets, by kernel
	eachPTX(t, func(f, target, text string) {
		for _, fault := range lintPTX(text, target) {
			t.Errorf("%s: %s", f, fault)
		}
		for _, part := range strings.Split(text, ".entry ")[1:] {
			kernel, _, _ := strings.Cut(part, "(")
			if slices.Contains(found[kernel], target) {
				t.Errorf("%s: %s is in another file too", f, kernel)
			}
			found[kernel] = append(found[kernel], target)
		}
	})
	for kernel := range kernelThreads {
		if len(found[kernel]) == 0 {
			t.Errorf("%s is in no file", kernel)
		}
		delete(found, kernel)
	}
	for kernel := range found {
		t.Errorf("%s is not among the kernels that are loaded", kernel)
	}
	for _, bad := range []string{
		"\n.version 8.0\n.target sm_80\n\t.extern .func f;",
		"\n.version 8.0\n.target sm_80\n\tcall.uni f, ();",
		"\n.version 8.0\n.target sm_80\n\t.local .align 8 .b8 \t__local_depot0[32];",
		"\n.version 8.0\n.target sm_80\n\t.shared .align 4 .b8 big[49153];\n.entry k(\n)\n mov big;",
		"\n.version 7.0\n.target sm_80\n",
		"\n.version 8.0\n.target sm_90a\n",
	} {
		if lintPTX(bad, "sm_80") == nil {
			t.Errorf("passed: %q", bad)
		}
	}
	const head = "\n.version 8.0\n.target sm_90a\n.entry k(\n)\n"
	for _, c := range []struct {
		body string
		ok   bool
	}{
		{"\tgriddepcontrol.launch_dependents;\n\tst.shared.f32 [x], y;\n\tgriddepcontrol.wait;\n\tst.global.f32 [x], y;", true},
		{"\tgriddepcontrol.launch_dependents;\n\tst.global.f32 [x], y;\n\tgriddepcontrol.wait;", false},
		{"\tgriddepcontrol.launch_dependents;\n\tst.f32 [x], y;\n\tgriddepcontrol.wait;", false},
		{"\tgriddepcontrol.launch_dependents;", false},
		{"\tgriddepcontrol.wait;", false},
	} {
		if faults := lintPTX(head+c.body, "sm_90a"); (faults == nil) != c.ok {
			t.Errorf("%q: %q", c.body, faults)
		}
	}
}

var compilePTX = flag.Bool("ptx", false, "compile the kernels again and compare")

// TestPTXUpToDate holds the PTX to the sources that it was made of, and, where asked to,
// compiles them again.
func TestPTXUpToDate(t *testing.T) {
	sources, err := filepath.Glob("src/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Skip("needs the sources")
	}
	h := sha256.New()
	for _, f := range append([]string{"gen.sh"}, sources...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(text)
	}
	sum, err := os.ReadFile("ptx/sources.sum")
	if err != nil || strings.TrimSpace(string(sum)) != fmt.Sprintf("%x", h.Sum(nil)) {
		t.Errorf("the PTX was made of other sources (%v): run go generate ./kernels/cuda", err)
	}
	if !*compilePTX {
		t.Skip("the sources are the same; -args -ptx compiles them")
	}
	if _, err := exec.LookPath("clang++-19"); err != nil {
		t.Skip("needs clang++-19 (Debian: clang-19)")
	}
	dir := t.TempDir()
	for _, name := range []string{"src", "gen.sh"} {
		if out, err := exec.Command("cp", "-r", name, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "ptx"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "gen.sh")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, _ := filepath.Glob("ptx/*.ptx.gz")
	for _, f := range files {
		if unpacked(t, f) != unpacked(t, filepath.Join(dir, f)) {
			t.Errorf("%s is not what src gives: run go generate ./kernels/cuda", f)
		}
	}
}

func unpacked(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

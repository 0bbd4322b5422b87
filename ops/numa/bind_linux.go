package numa

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// After: Linux, set_mempolicy(2).
const (
	mpolBind  = 2
	maskBits  = 1024
	maskWords = maskBits / 64
)

type nodeMask [maskWords]uint64

func maskOf(node int) (m nodeMask) {
	m[node/64] = 1 << (node % 64)
	return m
}

func allowedCPUs() (func(cpu int) bool, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	return set.IsSet, nil
}

// Bind binds this process to the node. Threads inherit what binds them from the thread
// that starts them, and so do programs: where the process is not bound yet, one thread
// binds itself and executes the program again, in the same process, from its beginning.
// So Bind belongs before anything is begun; it returns when the process is bound.
func Bind(n Node) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if n.bound() {
		return nil
	}
	if err := BindThread(n); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return fmt.Errorf("executing %s again: %w", exe, syscall.Exec(exe, os.Args, os.Environ()))
}

// BindThread binds the calling thread to the node, and the processes that it starts from
// then on. The goroutine must be locked to its thread.
func BindThread(n Node) error {
	var cpus unix.CPUSet
	for _, c := range n.CPUs {
		cpus.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("binding to CPUs %s: sched_setaffinity: %w", formatList(n.CPUs), err)
	}
	mask := maskOf(n.ID)
	if _, _, no := unix.Syscall(unix.SYS_SET_MEMPOLICY, mpolBind, uintptr(unsafe.Pointer(&mask)), maskBits); no != 0 {
		return fmt.Errorf("binding to the memory of node %d: set_mempolicy: %w (a container's seccomp profile may forbid it, or its cpuset leave the node out)", n.ID, no)
	}
	if !n.bound() {
		return fmt.Errorf("binding to node %d had no effect", n.ID)
	}
	return nil
}

// bound reports whether this thread is bound to the node.
func (n Node) bound() bool {
	allowed, err := allowedCPUs()
	if err != nil {
		return false
	}
	all, err := nodes("/", allowed)
	if err != nil || len(all) != 1 || all[0].ID != n.ID {
		return false
	}
	mask := memoryBound()
	return mask != nil && *mask == maskOf(n.ID)
}

// memoryBound is the nodes that this thread's memory is bound to; nil where it is not.
func memoryBound() *nodeMask {
	var mask nodeMask
	var mode int32
	if _, _, no := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&mask)), maskBits, 0, 0, 0); no != 0 || mode&0xff != mpolBind {
		return nil
	}
	return &mask
}

// Beside is how many nodes with CPUs the machine has, this process's among them, where its
// memory is bound to one; else 1.
func Beside() int {
	if memoryBound() == nil {
		return 1
	}
	all, err := nodes("/", func(int) bool { return true })
	if err != nil {
		return 1
	}
	return max(1, len(all))
}

// Free is how many bytes are left of the nodes that this process's memory is bound to; 0
// where it is not bound.
func Free() (bytes int64) {
	mask := memoryBound()
	if mask == nil {
		return 0
	}
	all, err := nodes("/", func(int) bool { return true })
	if err != nil {
		return 0
	}
	for _, n := range all {
		if mask[n.ID/64]>>(n.ID%64)&1 != 0 {
			bytes += n.Free
		}
	}
	return bytes
}

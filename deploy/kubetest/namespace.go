//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideEnv tells the process that it is the one inside the namespaces.
const insideEnv = "SULLAE_KUBETEST_INSIDE"

// cgroup is where pods' cgroups are made, in every hierarchy.
const cgroup = "sullae-kubetest"

// enter runs this program again as the first process of namespaces of its own
// (processes, mounts, network, host name, IPC). When it ends, however it ends,
// the kernel ends every process in them and takes mounts, interfaces and rules
// away; only folders are left to remove.
func enter(work string) (err error) {
	defer func() { err = errors.Join(err, removeCgroups()) }()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"="+work)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-signals:
		cmd.Process.Kill()
		<-ended
		return errors.New("interrupted")
	}
}

// private gives the namespaces their own /proc, and puts folders of work over
// those that kubelet, containerd and CNI write to.
func private(work string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log", "/etc/cni", "/usr/libexec/kubernetes"} {
		over := filepath.Join(work, "over", dir)
		if err := errors.Join(os.MkdirAll(over, 0o755), os.MkdirAll(dir, 0o755)); err != nil {
			return err
		}
		if err := unix.Mount(over, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", dir, err)
		}
	}
	return unix.Sethostname([]byte(nodeName))
}

// cgroupDirs are the test's cgroup in every hierarchy.
func cgroupDirs() []string {
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []string{filepath.Join("/sys/fs/cgroup", cgroup)}
	}
	var out []string
	for _, f := range v1 {
		out = append(out, filepath.Join(filepath.Dir(f), cgroup))
	}
	return out
}

func makeCgroups() error {
	for _, dir := range cgroupDirs() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} { // v1 wants them set before use
			if raw, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f)); err == nil {
				os.WriteFile(filepath.Join(dir, f), raw, 0)
			}
		}
	}
	return nil
}

// removeCgroups removes what the pods left, deepest first.
func removeCgroups() error {
	var first error
	for _, root := range cgroupDirs() {
		var dirs []string
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := os.Remove(dirs[i]); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

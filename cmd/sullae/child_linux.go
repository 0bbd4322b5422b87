package main

import "syscall"

// childAttr: a process group of its own, so that a terminal's Ctrl-C reaches up
// alone, which then ends its children in order; and death with the parent.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

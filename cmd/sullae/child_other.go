//go:build !linux

package main

import "syscall"

// childAttr is for systems without a signal for the parent's death.
func childAttr() *syscall.SysProcAttr { return nil }

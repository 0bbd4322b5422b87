package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release.
const version = "0.1.0"

// commit is set by the linker (-X main.commit=...) where the build knows it.
var commit string

type versionCmd struct{}

// Run prints the release, the commit it was built from, and with what.
func (versionCmd) Run() error {
	fmt.Printf("sullae %s (commit %s, %s, %s/%s)\n", version, builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// builtFrom is the commit: the linker's, or what Go itself noted.
func builtFrom() string {
	if commit != "" {
		return commit
	}
	revision, modified := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "-dirty"
			}
		}
	}
	if revision == "" {
		return "unknown"
	}
	return revision[:min(12, len(revision))] + modified
}

//go:build race

package memlink_test

func init() { runs = 300 }

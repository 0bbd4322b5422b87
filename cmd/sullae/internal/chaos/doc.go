// Package chaos runs a real cluster (etcd, coordinators, workers, each a process
// on a host of its own), disturbs it, and holds it to what is promised: every
// answer has the bits of the undisturbed run, none fails but by a documented
// refusal, nothing hangs, and what the cluster says of its health is true.
//
// The hosts are network namespaces (package netlab) where these can be made, else
// loopback addresses, between which nothing can be cut.
package chaos

// Package registry is what coordinators and workers keep in etcd: who is there
// (under leases), who leads (an election), and which workers form which group
// (the generation records). It holds what must survive a process and be agreed
// on; nothing per request or per token is ever written.
//
// The keys, under <prefix>/<cluster>/:
//
//	workers/<id>         a Worker, for as long as it refreshes its lease
//	coordinators/<id>    a Coordinator, likewise
//	leader/<lease>       candidates; the oldest leads (etcdctl elect reads it)
//	generation/<group>   a Generation: the group's epoch and ranks
//	config/...           reserved
//
// Values are JSON, {"schema": 1, "record": {...}}.
//
// etcd may go away for minutes and come back, with or without what it knew.
// Nothing here ends because of that: registrations are renewed with a fresh
// lease, watches go on from the current state, candidates keep waiting. While
// etcd is away watchers keep the last state that they saw.
//
// Two things keep an old leader from doing harm. Its writes are guarded by its
// leadership within etcd's own transaction, so a deposed leader can't change a
// generation. And each generation has an epoch, larger than any before, that
// workers compare with the record before they obey (Generation.Admits).
package registry

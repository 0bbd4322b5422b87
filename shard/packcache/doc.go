// Package packcache keeps packed units on disk, so that a worker that starts
// again copies its share instead of reading, converting and packing it anew.
//
// A unit (an attention head, a KV head, a slice of the FFN, a block of the
// vocabulary of one layer) is a file, found by what it is made of: checkpoint,
// layout, format, layer, kind and index (Key). It is written beside its place
// and renamed, so that it is whole or absent; several processes may share a
// folder. Each segment carries a checksum, and what does not match is removed and
// made again. The folder is bounded: the units that were not used for longest go
// first.
//
// Files are mapped, and what is wanted of them is copied: weights lie in
// anonymous memory, which may have huge pages, while pages of a file are small
// (one thread reads about a quarter faster from huge ones).
package packcache

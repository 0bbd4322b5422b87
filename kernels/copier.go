package kernels

// HostBuffer is memory of the host, of n float32 values, to and from which a Copier
// copies beside its ops. One copy of it may be under way at a time.
type HostBuffer interface {
	Floats() []float32
	// Wait returns when the last copy is done. Any goroutine may call it.
	Wait() error
	Free()
}

// Copier is a Backend whose memory the host cannot address (Host is nil), which copies
// beside its ops.
type Copier interface {
	NewHostBuffer(n int) (HostBuffer, error)
	// Fetch begins to copy src, as the ops before leave it, to the beginning of dst.
	Fetch(dst HostBuffer, src Buffer)
	// Put copies the first dst.Len() values of src to dst, before the ops after it. Ops
	// before that use dst must have been waited for, by the Wait of a Fetch after them;
	// src must not change before the next such Wait.
	Put(dst Buffer, src HostBuffer)
}

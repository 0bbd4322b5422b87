package block

// heap is a min-heap of block numbers.
type heap []int32

func (h *heap) push(b int32) {
	*h = append(*h, b)
	a := *h
	for i := len(a) - 1; i > 0; {
		up := (i - 1) / 2
		if a[up] <= a[i] {
			return
		}
		a[up], a[i] = a[i], a[up]
		i = up
	}
}

func (h *heap) pop() int32 {
	a := *h
	b, n := a[0], len(a)-1
	a[0] = a[n]
	a = a[:n]
	*h = a
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return b
		}
		if c+1 < n && a[c+1] < a[c] {
			c++
		}
		if a[i] <= a[c] {
			return b
		}
		a[i], a[c] = a[c], a[i]
		i = c
	}
}

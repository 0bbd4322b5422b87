//go:build !linux

package cpu

const smallPage = 4 << 10

func mapRegion(n int) (*region, error) {
	return &region{data: plainBytes(n), free: func() {}}, nil
}

func giveBack([]byte) {}

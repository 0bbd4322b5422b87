package gateway

// ChoiceSeed is the seed of a request's choice i: the request's own for choice
// 0, so that n = 1 and the first of many are the same; for the others SplitMix64
// of the request's seed and i. A choice can so be had again alone, by its seed.
//
// After: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators (2014).
func ChoiceSeed(seed uint64, i int) uint64 {
	if i == 0 {
		return seed
	}
	z := seed + uint64(i)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

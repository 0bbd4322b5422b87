package toolcall

import (
	"crypto/sha256"
	"fmt"
	"math/big"
)

// ID names a call: the same one for the same place in the same request. Mistral's
// templates want nine letters and digits, others take anything.
func (f Format) ID(request string, choice, call int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %s", choice, call, request)
	sum := h.Sum(nil)
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n, size, prefix := 24, big.NewInt(int64(len(digits))), "call_"
	if f == Mistral {
		n, prefix = 9, ""
	}
	rest, digit := new(big.Int).SetBytes(sum), new(big.Int)
	id := []byte(prefix)
	for range n {
		rest.DivMod(rest, size, digit)
		id = append(id, digits[digit.Int64()])
	}
	return string(id)
}

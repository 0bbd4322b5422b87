// Command _asm writes the assembly of package cpu. It is a module of its own, so
// that the generator's dependencies are nobody else's.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	set := flag.String("set", "", "which functions: matmul, matmul512, attend, attend512, coded, coded512, vector, quant, quantvnni, quant512 or pack")
	toVEX := flag.String("vex", "", "instead: the file whose VPDPBUSD to encode as AVX-VNNI's")
	flag.Parse()
	if *toVEX != "" {
		if err := vex(*toVEX); err != nil {
			log.Fatal(err)
		}
		return
	}
	ConstraintExpr("!noasm")
	switch *set {
	case "matmul":
		matmul()
	case "matmul512":
		matmul512()
	case "attend":
		attend(avx2)
	case "attend512":
		attend(avx512)
		softmax512()
	case "coded":
		coded(avx2)
	case "coded512":
		coded(avx512)
	case "vector":
		vector()
	case "quant":
		quant()
	case "quantvnni":
		quantVNNI()
	case "quant512":
		quant512()
	case "pack":
		pack()
	default:
		log.Fatalf("-set %q", *set)
	}
	Generate()
}

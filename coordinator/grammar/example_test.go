package grammar_test

import (
	"fmt"

	"github.com/sullae/sullae/coordinator/grammar"
)

type words []string

func (w words) Size() int                  { return len(w) }
func (w words) TokenBytes(id int32) []byte { return []byte(w[id]) }

func Example() {
	vocab := grammar.NewVocabulary(words{"", "{", "}", `"답`, `"`, ": ", "예", `"예"`, "아", `"아니요"`, "1", "{\""}, []int32{0})
	g, err := grammar.CompileJSONSchema([]byte(`{
		"type": "object",
		"properties": {"답": {"enum": ["예", "아니요"]}},
		"required": ["답"]
	}`), grammar.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := g.Start(vocab)
	mask := make([]uint64, vocab.MaskWords())
	for _, token := range []int32{1, 3, 4, 5, 7, 2, 0} {
		m.Mask(mask)
		fmt.Printf("%012b %v\n", mask[0], m.Accept(token))
	}
	_, err = grammar.CompileJSONSchema([]byte(`{"properties": {"답": {"typ": "string"}}}`), grammar.Options{})
	fmt.Println(err)
	// Output:
	// 100000000010 true
	// 000000011000 true
	// 000000010000 true
	// 000000100000 true
	// 001010010000 true
	// 000000000100 true
	// 000000000001 true
	// #/properties/답/typ: the keyword "typ" is not supported
}

package grammar

import (
	"fmt"
	"testing"
)

func BenchmarkNewVocabulary(b *testing.B) {
	list := bigList(102400)
	for b.Loop() {
		NewVocabulary(list, []int32{2})
	}
}

// orderSchema is a schema of the usual size.
const orderSchema = `{
  "type": "object",
  "properties": {
    "주문번호": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{6}$"},
    "고객": {"type": "object", "properties": {
      "이름": {"type": "string", "minLength": 1, "maxLength": 40},
      "나이": {"type": "integer", "minimum": 0, "maximum": 150},
      "연락처": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]}
    }, "required": ["이름", "나이"], "additionalProperties": false},
    "품목": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"$ref": "#/$defs/item"}},
    "상태": {"enum": ["접수", "배송중", "완료", "취소"]},
    "메모": {"type": "string"},
    "일시": {"type": "string", "format": "date-time"}
  },
  "required": ["주문번호", "고객", "품목", "상태"],
  "additionalProperties": false,
  "$defs": {"item": {"type": "object", "properties": {
    "이름": {"type": "string"}, "수량": {"type": "integer", "minimum": 1}, "단가": {"type": "number", "minimum": 0},
    "구성": {"type": "array", "items": {"$ref": "#/$defs/item"}}
  }, "required": ["이름", "수량", "단가"]}}
}`

const arithmetic = `root ::= expr "=" [0-9]+
expr ::= expr "+" term | expr "-" term | term
term ::= term "*" unit | unit
unit ::= "(" expr ")" | [0-9]+ | name
name ::= [a-z가-힣] [a-z가-힣0-9]*`

func benchGrammars(b *testing.B) map[string]func() (*Grammar, error) {
	return map[string]func() (*Grammar, error){
		"schema": func() (*Grammar, error) { return CompileJSONSchema([]byte(orderSchema), Options{}) },
		"object": CompileJSONObject,
		"regex":  func() (*Grammar, error) { return CompileRegex(`(\p{Hangul}+ ?){1,20}\. [0-9]{3}-[0-9]{4}`) },
		"choice": func() (*Grammar, error) {
			var list []string
			for i := range 1000 {
				list = append(list, fmt.Sprintf("선택 %d", i))
			}
			return CompileChoice(list)
		},
		"ebnf": func() (*Grammar, error) { return CompileEBNF(arithmetic) },
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, compile := range benchGrammars(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := compile(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// texts runs the matcher over some sampled texts, with a mask for each token.
func benchTexts(b *testing.B, compile func() (*Grammar, error), each func(g *Grammar, tokens []int32)) {
	g, err := compile()
	if err != nil {
		b.Fatal(err)
	}
	v := bigVocab()
	s := newSampler(v, 1)
	var texts [][]int32
	for range 8 {
		m := g.Start(v)
		var tokens []int32
		for n := 0; n < 200 && !m.Ended(); n++ {
			id := s.choose(s.allowed(m), n > 60)
			m.Accept(id)
			tokens = append(tokens, id)
		}
		texts = append(texts, tokens)
	}
	i := 0
	for b.Loop() {
		each(g, texts[i%len(texts)])
		i++
	}
}

// BenchmarkMask is the cost of a step, mask and Accept, once the pieces are there.
func BenchmarkMask(b *testing.B) {
	for name, compile := range benchGrammars(b) {
		b.Run(name, func(b *testing.B) {
			steps := 0
			mask := make([]uint64, bigVocab().MaskWords())
			benchTexts(b, compile, func(g *Grammar, tokens []int32) {
				m := g.Start(bigVocab())
				for _, id := range tokens {
					m.Mask(mask)
					m.Accept(id)
				}
				steps += len(tokens)
			})
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
		})
	}
}

// BenchmarkColdMask is the same for a grammar that was never used before.
func BenchmarkColdMask(b *testing.B) {
	for name, compile := range benchGrammars(b) {
		b.Run(name, func(b *testing.B) {
			steps := 0
			mask := make([]uint64, bigVocab().MaskWords())
			benchTexts(b, compile, func(g *Grammar, tokens []int32) {
				g.cacheFor(bigVocab()).clear()
				m := g.Start(bigVocab())
				for _, id := range tokens {
					m.Mask(mask)
					m.Accept(id)
				}
				steps += len(tokens)
			})
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
		})
	}
}

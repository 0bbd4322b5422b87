package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

var structuredOutputs = flag.Int("structured", 0, "how many structured outputs TestStructuredOutputs asks for; 0: it is left out")

// structured is a kind of structured output: what a request asks for, and what its
// text has to be.
type structured struct {
	name   string
	fields map[string]any
	valid  func(text string) bool
}

func structuredKinds() []structured {
	schema := func(source string) map[string]any {
		return map[string]any{"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "x", "schema": json.RawMessage(source)}}}
	}
	matches := func(pattern string) func(string) bool { return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString }
	const phone = `[가-힣]{2,5} \d{3}-\d{4}`
	const mail = `[a-z]{1,10}@[a-z]{2,8}\.(com|kr)`
	return []structured{
		{"json_object", map[string]any{"response_format": map[string]any{"type": "json_object"}}, func(text string) bool {
			var v map[string]any
			return utf8.ValidString(text) && json.Unmarshal([]byte(text), &v) == nil
		}},
		{"json_schema", schema(personSchema), validPerson},
		{"json_schema of a tree", schema(`{"$defs":{"n":{"type":"object","properties":{"이름":{"type":"string"},"아이":{"type":"array","items":{"$ref":"#/$defs/n"}}},
			"required":["이름","아이"],"additionalProperties":false}},"$ref":"#/$defs/n"}`), validTree},
		{"regex in Korean", map[string]any{"guided_regex": phone}, matches(phone)},
		{"regex", map[string]any{"structured_outputs": map[string]any{"regex": mail}}, matches(mail)},
		{"choice", map[string]any{"structured_outputs": map[string]any{"choice": []string{"예", "아니요", "maybe"}}}, func(text string) bool {
			return slices.Contains([]string{"예", "아니요", "maybe"}, text)
		}},
		{"EBNF", map[string]any{"guided_grammar": `root ::= term (("+" | "-") term)*` + "\n" + `term ::= [0-9]+ | "(" root ")"`}, validSum},
		{"EBNF in Korean", map[string]any{"guided_grammar": `root ::= "오늘은 " day "요일" ("이다" | "입니다") "."` + "\n" + `day ::= "월" | "화" | "수" | "목" | "금" | "토" | "일"`},
			matches(`오늘은 [월화수목금토일]요일(이다|입니다)\.`)},
	}
}

// validTree: a node of the tree, and nothing else in it.
func validTree(text string) bool {
	type node struct {
		Name *string            `json:"이름"`
		Kids *[]json.RawMessage `json:"아이"`
	}
	var n node
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&n) != nil || d.More() || n.Name == nil || n.Kids == nil {
		return false
	}
	return !slices.ContainsFunc(*n.Kids, func(k json.RawMessage) bool { return !validTree(string(k)) })
}

var innerSum = regexp.MustCompile(`\([0-9]+([+-][0-9]+)*\)`)

// validSum: a sum whose parentheses go away from the inside out.
func validSum(text string) bool {
	for {
		less := innerSum.ReplaceAllString(text, "0")
		if less == text {
			return regexp.MustCompile(`^[0-9]+([+-][0-9]+)*$`).MatchString(text)
		}
		text = less
	}
}

// TestStructuredOutputs: structured outputs of every kind at temperature 1, 32 at a
// time, in little room and in much: all of them are whole and valid. (The demo model
// is given no reason to write any of this, and would go on for ever.)
func TestStructuredOutputs(t *testing.T) {
	if *structuredOutputs == 0 {
		t.Skip("needs -structured")
	}
	p := up(t)
	kinds := structuredKinds()
	var mu sync.Mutex
	good, tokens := map[string]int{}, 0
	next := make(chan int)
	var clients sync.WaitGroup
	began := time.Now()
	for range 32 {
		clients.Go(func() {
			for i := range next {
				k := kinds[i%len(kinds)]
				body := map[string]any{"prompt": "[|user|]서울에 사는 사람\n[|assistant|]", "temperature": 1, "seed": i, "max_tokens": 100 + i%400}
				for name, v := range k.fields {
					body[name] = v
				}
				if i%5 == 0 {
					body["prompt_lookup_num_tokens"] = 4
				}
				c, err := p.complete(body)
				switch {
				case err != nil:
					t.Errorf("%s, seed %d: %v", k.name, i, err)
				case c.Choices[0].FinishReason != "stop" || !k.valid(c.Choices[0].Text):
					t.Errorf("%s, seed %d: %s %q", k.name, i, c.Choices[0].FinishReason, c.Choices[0].Text)
				default:
					mu.Lock()
					good[k.name]++
					tokens += c.Usage.CompletionTokens
					mu.Unlock()
				}
			}
		})
	}
	for i := range *structuredOutputs {
		next <- i
	}
	close(next)
	clients.Wait()
	sum, list := 0, ""
	for _, k := range kinds {
		sum += good[k.name]
		list += fmt.Sprintf(", %s %d", k.name, good[k.name])
	}
	t.Logf("%d of %d are valid%s; %.0f tokens a second", sum, *structuredOutputs, list, float64(tokens)/time.Since(began).Seconds())
	masks, steps := p.metric(t, "sullae_step_mask_seconds_sum"), p.metric(t, "sullae_step_seconds_sum")
	t.Logf("masks took %.3f s, steps %.3f s: %.1f %%", masks, steps, 100*masks/steps)
	if masks > steps/10 {
		t.Error("masks take more than a tenth of the steps")
	}
}

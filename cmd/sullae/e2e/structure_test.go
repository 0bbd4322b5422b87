package e2e

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// person is what the schema of TestStructured describes.
type person struct {
	Name    string   `json:"name"`
	Age     *int     `json:"age"`
	City    string   `json:"city"`
	Hobbies []string `json:"hobbies"`
}

const personSchema = `{"type":"object","properties":{
	"name":{"type":"string","minLength":1,"maxLength":12},
	"age":{"type":"integer","minimum":0,"maximum":150},
	"city":{"enum":["서울","부산","Paris"]},
	"hobbies":{"type":"array","items":{"type":"string","maxLength":8},"maxItems":3}},
	"required":["name","age","city"],"additionalProperties":false}`

// validPerson: text keeps to personSchema.
func validPerson(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var x person
	return d.Decode(&x) == nil && !d.More() && x.Age != nil && *x.Age >= 0 && *x.Age <= 150 &&
		utf8.RuneCountInString(x.Name) >= 1 && utf8.RuneCountInString(x.Name) <= 12 && len(x.Hobbies) <= 3 &&
		(x.City == "서울" || x.City == "부산" || x.City == "Paris")
}

// TestStructured: outputs at temperature 1 keep to a schema, a regex, a list; the
// bits don't depend on the workers, nor on one's death half-way.
func TestStructured(t *testing.T) {
	long(t)
	ask := func(p *process, kind string, seed int) completion {
		t.Helper()
		body := map[string]any{"prompt": "[|user|]서울\n[|assistant|]", "temperature": 1, "seed": seed, "max_tokens": 400, "return_token_ids": true, "logprobs": 1}
		switch kind {
		case "schema":
			body["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "person", "schema": json.RawMessage(personSchema)}}
		case "regex":
			body["guided_regex"] = `[가-힣]{2,5} \d{3}-\d{4}`
		case "choice":
			body["structured_outputs"] = map[string]any{"choice": []string{"예", "아니요", "maybe"}}
		}
		c, err := p.complete(body)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	regex := regexp.MustCompile(`^[가-힣]{2,5} \d{3}-\d{4}$`)
	valid := func(kind, text string) bool {
		switch kind {
		case "regex":
			return regex.MatchString(text)
		case "choice":
			return text == "예" || text == "아니요" || text == "maybe"
		}
		return validPerson(text)
	}
	one, three := up(t), up(t, "--workers", "3", "--threads", "1")
	kinds := []string{"schema", "regex", "choice"}
	const each = 15
	var want [3][each]completion
	var wg sync.WaitGroup
	for k, kind := range kinds {
		for seed := range each {
			wg.Go(func() {
				want[k][seed] = ask(one, kind, seed)
				ch := want[k][seed].Choices[0]
				if ch.FinishReason != "stop" || !valid(kind, ch.Text) {
					t.Errorf("%s, seed %d: %s %q", kind, seed, ch.FinishReason, ch.Text)
				}
			})
		}
	}
	wg.Wait()
	for k, kind := range kinds {
		for seed := range each {
			wg.Go(func() {
				if got := ask(three, kind, seed); !reflect.DeepEqual(got.Choices, want[k][seed].Choices) {
					t.Errorf("%s, seed %d: other bits on three workers, one of which is killed", kind, seed)
				}
			})
		}
	}
	time.Sleep(150 * time.Millisecond)
	if s, err := three.status(); err == nil {
		syscall.Kill(s.Workers[2].PID, syscall.SIGKILL)
	}
	wg.Wait()

	var a any
	err := one.post("/v1/completions", map[string]any{"prompt": "x", "response_format": map[string]any{"type": "json_schema",
		"json_schema": map[string]any{"schema": map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "strnig"}}}}}}, &a)
	if err == nil || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), "/properties/a") {
		t.Errorf("a wrong schema: %v", err)
	}
}

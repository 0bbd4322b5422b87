package evaluate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sullae/sullae/coordinator/chattemplate"
)

// Question is a context and its continuations, one of which is right.
type Question struct {
	Line    int // in its file, from 1
	Prompt  string
	Choices []string
	Answer  int // index of the right one
	Group   string
}

// Format says how a line's fields make a question: templates in the language of chat
// templates, which see the fields by name. Choices makes a JSON list of strings, Answer
// the index of the right one from 0, its letter from A, or its text.
type Format struct{ Prompt, Choices, Answer, Group string }

// DefaultFormat reads the fields prompt, choices, answer and, where it is there, group.
var DefaultFormat = Format{
	Prompt:  "{{ prompt }}",
	Choices: "{{ choices | tojson }}",
	Answer:  "{{ answer }}",
	Group:   "{{ group if group is defined else '' }}",
}

// maxLine bounds a line of a file of questions.
const maxLine = 16 << 20

// ReadQuestions reads JSON objects, one a line. At most limit of them are read; 0 is
// all. Errors name the line.
func ReadQuestions(r io.Reader, f Format, limit int) ([]Question, error) {
	var templates [4]*chattemplate.Template
	for i, t := range []struct{ name, source string }{{"--prompt", f.Prompt}, {"--choices", f.Choices}, {"--answer", f.Answer}, {"--group", f.Group}} {
		var err error
		if templates[i], err = chattemplate.Parse(t.name, t.source); err != nil {
			return nil, err
		}
	}
	var out []Question
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	line := 0
	for s.Scan() && (limit == 0 || len(out) < limit) {
		line++
		raw := bytes.TrimSpace(s.Bytes())
		if len(raw) == 0 {
			continue
		}
		q, err := readQuestion(raw, templates)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		q.Line = line
		out = append(out, q)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there are no questions")
	}
	return out, nil
}

func readQuestion(raw []byte, templates [4]*chattemplate.Template) (q Question, err error) {
	var fields chattemplate.Map
	if err := json.Unmarshal(raw, &fields); err != nil {
		return q, err
	}
	ctx := chattemplate.Context{Extra: map[string]any{}}
	for _, name := range fields.Keys() {
		ctx.Extra[name], _ = fields.Get(name)
	}
	var text [4]string
	for i, t := range templates {
		if text[i], err = t.Render(ctx); err != nil {
			return q, err
		}
	}
	q.Prompt, q.Group = text[0], strings.TrimSpace(text[3])
	if q.Prompt == "" {
		return q, fmt.Errorf("the prompt is empty")
	}
	if err := json.Unmarshal([]byte(text[1]), &q.Choices); err != nil || len(q.Choices) < 2 {
		return q, fmt.Errorf("choices: want a list of two texts or more, have %.100q", text[1])
	}
	for i, c := range q.Choices {
		if c == "" {
			return q, fmt.Errorf("choices: text %d is empty", i)
		}
	}
	q.Answer, err = answerIndex(strings.TrimSpace(text[2]), q.Choices)
	return q, err
}

func answerIndex(answer string, choices []string) (int, error) {
	if i, err := strconv.Atoi(answer); err == nil {
		if i < 0 || i >= len(choices) {
			return 0, fmt.Errorf("answer: %d is none of 0 to %d", i, len(choices)-1)
		}
		return i, nil
	}
	for i, c := range choices {
		if c == answer {
			return i, nil
		}
	}
	if len(answer) == 1 && answer[0] >= 'A' && int(answer[0]-'A') < len(choices) {
		return int(answer[0] - 'A'), nil
	}
	return 0, fmt.Errorf("answer: %.100q is neither an index, nor a letter, nor one of the choices", answer)
}

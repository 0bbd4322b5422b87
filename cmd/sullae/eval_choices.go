package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/evaluate"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

// evalChoicesCmd is `sullae eval choices`.
type evalChoicesCmd struct {
	File string `arg:"" help:"Questions, a JSON object a line; - is the input."`
	evalFlags
	Prompt    string `env:"-" placeholder:"TEMPLATE" default:"{{ prompt }}" help:"What makes the prompt of a line's fields (${default})."`
	Choices   string `env:"-" placeholder:"TEMPLATE" default:"{{ choices | tojson }}" help:"What makes the list of choices, as JSON (${default})."`
	Answer    string `env:"-" placeholder:"TEMPLATE" default:"{{ answer }}" help:"What makes the right choice: its index from 0, its letter, or its text (${default})."`
	Group     string `env:"-" placeholder:"TEMPLATE" default:"{{ group if group is defined else '' }}" help:"What lines are counted by, beside all together (the field group)."`
	Delimiter string `env:"-" default:" " help:"What is between prompt and choice (a blank)."`
	Limit     int    `env:"-" placeholder:"N" help:"Take the first N questions only."`
	Out       string `env:"-" placeholder:"FILE" help:"Write what the model makes of each question, a JSON object a line."`
}

// Help is shown below the flags.
func (evalChoicesCmd) Help() string {
	return `A line: {"prompt": "Question: ...\nAnswer:", "choices": ["one", "two"], "answer": 0, "group": "history"}.
Other fields fit with templates, in the language of chat templates: KMMLU's lines with
--prompt '{{question}}\nA. {{A}}\nB. {{B}}\nC. {{C}}\nD. {{D}}\n정답:' --choices '["A","B","C","D"]' --answer '{{answer-1}}'
--group '{{Category}}' (\n stands for a line's end).

ACC takes the choice of the highest log-likelihood, NORM that of the highest per character, BYTES per
byte: acc, acc_norm and acc_bytes of lm-evaluation-harness.`
}

// Run measures.
func (c *evalChoicesCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *evalChoicesCmd) run(ctx context.Context, std streams) error {
	questions, err := c.read(std.in)
	if err != nil {
		return err
	}
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	sequences := 0
	for _, q := range questions {
		sequences += len(q.Choices)
	}
	end := e.progress(std.err, sequences)
	answers, err := evaluate.AnswerQuestions(ctx, evaluate.ChoicesConfig{
		Delimiter: c.Delimiter, Context: c.Context, Parallel: c.Concurrency, Tokenize: e.tokenize, Score: e.score, Done: &e.done,
	}, questions)
	end()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Out != "" {
		if err := writeFile(c.Out, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			for _, a := range answers {
				if err := enc.Encode(a); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return c.show(std, e.model.GetId(), answers)
}

func (c *evalChoicesCmd) read(in io.Reader) ([]evaluate.Question, error) {
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	questions, err := evaluate.ReadQuestions(in, evaluate.Format{Prompt: unescape(c.Prompt), Choices: c.Choices, Answer: c.Answer, Group: c.Group}, c.Limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return questions, nil
}

// unescape lets a flag's template have line ends.
func unescape(s string) string { return strings.ReplaceAll(s, `\n`, "\n") }

func (c *evalChoicesCmd) show(std streams, model string, answers []evaluate.Answered) error {
	all, groups := evaluate.Summarize(answers)
	cut := 0
	for _, a := range answers {
		if a.Truncated {
			cut++
		}
	}
	if c.JSON {
		return printJSON(std.out, struct {
			Model     string `json:"model"`
			File      string `json:"file"`
			Truncated int    `json:"truncated"`
			evaluate.Accuracy
			Groups []evaluate.Accuracy `json:"groups,omitempty"`
		}{model, c.File, cut, all, groups})
	}
	rows := [][]screen.Cell{{{Text: "GROUP"}, figure("QUESTIONS"), figure("ACC"), figure("NORM"), figure("BYTES")}}
	for _, a := range append(groups, all) {
		name := a.Group
		if name == "" {
			name = "all"
		}
		share := func(p, err float64) screen.Cell { return figure(fmt.Sprintf("%.4f ± %.4f", p, err)) }
		rows = append(rows, []screen.Cell{{Text: screen.Printable(name)}, figure(fmt.Sprint(a.Questions)),
			share(a.Acc, a.AccErr), share(a.Norm, a.NormErr), share(a.Bytes, a.BytesErr)})
	}
	head := screen.Printable(model+" on "+c.File) + "\n"
	if cut > 0 {
		head += count(cut, "prompt") + " lost the beginning: longer than --context\n"
	}
	_, err := io.WriteString(std.out, head+screen.Table(rows))
	return err
}

package openai

import (
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/sullae/sullae/coordinator/gateway"
)

// completionBuilder turns a Stream's items into a completion, or its chunks.
type completionBuilder struct {
	req   *completionRequest
	n     int
	head  completion
	infos []*gateway.PromptInfo
	usage usage
}

// begin is a choice as it is before its first token: the echo.
func (b *completionBuilder) begin(info *gateway.PromptInfo, index int) completionChoice {
	c := completionChoice{Index: index}
	if b.req.Output.Logprobs != nil {
		c.Logprobs = &logprobs{Tokens: []string{}, TokenLogprobs: []*float32{}, TopLogprobs: []topMap{}, TextOffset: []int{}}
	}
	if b.req.echo {
		c.Text = info.Text
		if c.Logprobs != nil {
			c.Logprobs.addPrompt(info)
		}
	}
	if b.req.promptScores {
		c.PromptLogprobs = promptScores(info)
	}
	if b.req.returnIDs {
		c.PromptTokenIDs = &info.TokenIDs
		c.TokenIDs = &[]int32{}
	}
	return c
}

// add appends a delta to a choice.
func (b *completionBuilder) add(c *completionChoice, d *gateway.Delta) {
	c.Text += d.Text
	if c.Logprobs != nil {
		base := 0
		if b.req.echo {
			base = utf8.RuneCountInString(b.infos[d.Index/b.n].Text)
		}
		for _, t := range d.Logprobs {
			c.Logprobs.add(t, base)
		}
	}
	if c.TokenIDs != nil {
		*c.TokenIDs = append(*c.TokenIDs, d.TokenIDs...)
	}
	c.FinishReason, c.StopReason = ending(d.Finish)
}

func (b *completionBuilder) collect(st *gateway.Stream) (completion, error) {
	out := b.head
	out.Choices = make([]completionChoice, len(b.infos)*b.n)
	for {
		it, err := st.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return out, err
		}
		b.usage.add(it)
		if info := it.Prompt; info != nil {
			b.infos[info.Index] = info
			for i := info.Index * b.n; i < (info.Index+1)*b.n; i++ {
				out.Choices[i] = b.begin(info, i)
			}
			continue
		}
		b.add(&out.Choices[it.Delta.Index], it.Delta)
	}
	out.Usage, _ = marshal(b.usage)
	return out, nil
}

// chunks: a choice's first chunk has the echo and the prompt's ids, where they
// are asked for.
func (b *completionBuilder) chunks(it gateway.Item) []any {
	b.usage.add(it)
	var out []any
	if info := it.Prompt; info != nil {
		b.infos[info.Index] = info
		if !b.req.echo && !b.req.returnIDs {
			return nil
		}
		for i := info.Index * b.n; i < (info.Index+1)*b.n; i++ {
			out = append(out, b.chunk(b.begin(info, i)))
		}
		return out
	}
	d := it.Delta
	if d.Text == "" && d.Finish == nil && d.Logprobs == nil && !b.req.returnIDs {
		return nil // half a character, or what may begin a stop string
	}
	c := completionChoice{Index: d.Index}
	if d.Logprobs != nil {
		c.Logprobs = &logprobs{}
	}
	if b.req.returnIDs {
		c.TokenIDs = &[]int32{}
	}
	b.add(&c, d)
	return []any{b.chunk(c)}
}

func (b *completionBuilder) chunk(c completionChoice) completion {
	out := b.head
	out.Choices = []completionChoice{c}
	if b.req.includeUsage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

func (b *completionBuilder) usageChunk() any {
	if !b.req.includeUsage {
		return nil
	}
	out := b.head
	out.Choices = []completionChoice{}
	out.Usage, _ = marshal(b.usage)
	return out
}

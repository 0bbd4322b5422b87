package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// target is what is known of the server.
type target struct {
	model string
	// extended: it takes vLLM's fields beyond OpenAI's, as Sullae does.
	extended bool
	// ids are tokens that prompts may be made of; nil: words are sent.
	ids []int32
}

// smallIDs are what prompts are made of where a model has no tokenizer: every
// vocabulary has these.
var smallIDs = func() (ids []int32) {
	for id := range int32(64) {
		ids = append(ids, 32+id)
	}
	return ids
}()

// find asks the server what it is.
func (c *Config) find(ctx context.Context) (*target, error) {
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			OwnedBy string `json:"owned_by"`
		} `json:"data"`
	}
	if _, err := c.getJSON(ctx, http.MethodGet, "/v1/models", nil, &list); err != nil {
		return nil, fmt.Errorf("%s/v1/models: %w", c.Base, err)
	}
	t := &target{model: c.Model}
	var served []string
	for _, m := range list.Data {
		served = append(served, m.ID)
		if m.ID == c.Model || c.Model == "" && len(list.Data) == 1 {
			t.model, t.extended = m.ID, m.OwnedBy == "sullae" || m.OwnedBy == "vllm"
		}
	}
	switch {
	case c.Model == "" && t.model == "":
		return nil, fmt.Errorf("%s serves %d models (%s): choose one with --model", c.Base, len(served), strings.Join(served, ", "))
	case !slices.Contains(served, t.model):
		return nil, fmt.Errorf("--model %s: %s serves %s", t.model, c.Base, strings.Join(served, ", "))
	}
	if t.extended && !c.Chat {
		return t, c.findIDs(ctx, t)
	}
	return t, nil
}

// findIDs has common words tokenized: prompts of these tokens have exactly the
// length that is asked for.
func (c *Config) findIDs(ctx context.Context, t *target) error {
	body, err := json.Marshal(map[string]any{"model": t.model, "prompt": words(rand.New(rand.NewPCG(0, 0)), 500), "add_special_tokens": false})
	if err != nil {
		return err
	}
	var got struct {
		Tokens []int32 `json:"tokens"`
	}
	status, err := c.getJSON(ctx, http.MethodPost, "/tokenize", body, &got)
	if status == http.StatusBadRequest || status == http.StatusNotFound {
		t.ids = smallIDs
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s/tokenize: %w", c.Base, err)
	}
	slices.Sort(got.Tokens)
	if t.ids = slices.Compact(got.Tokens); len(t.ids) == 0 {
		t.ids = smallIDs
	}
	return nil
}

func (c *Config) getJSON(ctx context.Context, method, path string, body []byte, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, refusal(resp)
	}
	return resp.StatusCode, json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(into)
}

// words is a text of n short words, which most tokenizers take as a token each.
func words(rng *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(common[rng.IntN(len(common))])
	}
	return b.String()
}

var common = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years much where your way down should because long each just state those people too mister how little good world make very year still see own work men day get here old life both between being under three never know same last another while us might great go come since against right take used house away`)

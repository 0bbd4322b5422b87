package rpc

import (
	"github.com/sullae/sullae/coordinator/gateway"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func toInt(v *int32) *int {
	if v == nil {
		return nil
	}
	i := int(*v)
	return &i
}

func request(id, model string, sampling *sullaev1.Sampling, stopping *sullaev1.Stopping, output *sullaev1.Output) gateway.Request {
	r := gateway.Request{ID: id, Model: model}
	if sampling != nil {
		r.Sampling = gateway.SamplingParams{
			Temperature: sampling.Temperature, TopP: sampling.TopP, TopK: toInt(sampling.TopK), Seed: sampling.Seed, MinP: sampling.MinP,
			RepetitionPenalty: sampling.RepetitionPenalty, PresencePenalty: sampling.PresencePenalty, FrequencyPenalty: sampling.FrequencyPenalty,
			LogitBias: sampling.GetLogitBias(), BadWords: sampling.GetBadWords(),
		}
	}
	if stopping != nil {
		r.Stopping = gateway.Stopping{
			MaxTokens: toInt(stopping.MaxTokens), Stop: stopping.GetStop(),
			StopTokenIDs: stopping.GetStopTokenIds(), IgnoreEOS: stopping.GetIgnoreEos(), MinTokens: toInt(stopping.MinTokens),
		}
	}
	if output != nil {
		r.Output = gateway.Output{
			Logprobs: toInt(output.Logprobs), PromptLogprobs: toInt(output.PromptLogprobs),
			KeepSpecialTokens: output.GetKeepSpecialTokens(),
		}
	}
	return r
}

// resume is what a client holds already; nil for a request that starts.
func resume(in *sullaev1.Resume) []gateway.Resumed {
	if in == nil {
		return nil
	}
	out := make([]gateway.Resumed, len(in.GetChoices()))
	for i, c := range in.GetChoices() {
		out[i] = gateway.Resumed{TokenIDs: c.GetTokenIds(), TextBytes: int(c.GetTextBytes()), Finished: c.GetFinished()}
		for _, n := range c.GetArgumentBytes() {
			out[i].ArgumentBytes = append(out[i].ArgumentBytes, int(n))
		}
	}
	return out
}

func structure(in *sullaev1.Structure) (s gateway.Structure) {
	switch k := in.GetKind().(type) {
	case *sullaev1.Structure_JsonSchema:
		s.JSONSchema = []byte(k.JsonSchema)
	case *sullaev1.Structure_JsonObject:
		s.JSONObject = k.JsonObject
	case *sullaev1.Structure_Regex:
		s.Regex = k.Regex
	case *sullaev1.Structure_Grammar:
		s.Grammar = k.Grammar
	case *sullaev1.Structure_Choice:
		s.Choice = k.Choice.GetTexts()
	}
	return s
}

func promptInfo(info *gateway.PromptInfo, output *sullaev1.Output) *sullaev1.PromptInfo {
	out := &sullaev1.PromptInfo{
		PromptTokens: int32(len(info.TokenIDs)),
		Logprobs:     logprobs(info.Logprobs),
		Seed:         info.Seed,
	}
	if len(out.Logprobs) > 0 {
		out.Logprobs[0] = &sullaev1.TokenLogprob{}
	}
	if output.GetPromptTokenIds() {
		out.TokenIds = info.TokenIDs
	}
	return out
}

func delta(d *gateway.Delta) *sullaev1.Delta {
	out := &sullaev1.Delta{Index: int32(d.Index), Text: d.Text, TokenIds: d.TokenIDs, Logprobs: logprobs(d.Logprobs)}
	for _, p := range d.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, &sullaev1.ToolCallPiece{Index: int32(p.Index), Id: p.ID, Name: p.Name, Arguments: p.Arguments})
	}
	if f := d.Finish; f != nil {
		out.Finish = finish(f)
	}
	return out
}

func finish(f *gateway.Finish) *sullaev1.Finish {
	out := &sullaev1.Finish{CompletionTokens: int32(f.CompletionTokens)}
	switch f.Reason {
	case gateway.FinishStop:
		out.Reason = sullaev1.FinishReason_FINISH_REASON_STOP
	case gateway.FinishLength:
		out.Reason = sullaev1.FinishReason_FINISH_REASON_LENGTH
	case gateway.FinishFilter:
		out.Reason = sullaev1.FinishReason_FINISH_REASON_CONTENT_FILTER
	case gateway.FinishToolCalls:
		out.Reason = sullaev1.FinishReason_FINISH_REASON_TOOL_CALLS
	}
	switch {
	case f.StopString != "":
		out.Matched = &sullaev1.Finish_Stop{Stop: f.StopString}
	case f.HasStopToken:
		out.Matched = &sullaev1.Finish_TokenId{TokenId: f.StopToken}
	}
	return out
}

func logprobs(in []gateway.TokenLogprob) []*sullaev1.TokenLogprob {
	if in == nil {
		return nil
	}
	out := make([]*sullaev1.TokenLogprob, len(in))
	for i, t := range in {
		l := &sullaev1.TokenLogprob{TokenId: t.ID, Token: t.Token, Logprob: t.Logprob}
		for _, a := range t.Top {
			l.Top = append(l.Top, &sullaev1.Alternative{TokenId: a.ID, Token: a.Token, Logprob: a.Logprob})
		}
		out[i] = l
	}
	return out
}

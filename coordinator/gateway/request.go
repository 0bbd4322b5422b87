package gateway

// Request asks for continuations of one or more prompts. The zero value of an
// optional field (nil) takes the documented default, which is not always zero.
type Request struct {
	// ID names the request in logs and responses; "" lets the service choose.
	ID string
	// Model may be empty: the served one.
	Model string
	// Prompts are continued independently, and as if each were alone.
	Prompts []Prompt
	// NoSpecialTokens keeps the tokenizer from adding BOS or EOS to a Text,
	// where the model's files say that it should.
	NoSpecialTokens bool
	Sampling        SamplingParams
	Stopping        Stopping
	Output          Output
	// N is the number of choices of each prompt; default 1.
	N *int
	// Structure restricts the text of each choice; the zero value doesn't.
	Structure Structure
	// ToolChoice says whether the tools of a Chat are called.
	ToolChoice ToolChoice
	// Priority: a lower value comes first; default 0. Tenant is whom the request
	// is for: within a priority no tenant keeps another from being served.
	Priority int
	Tenant   string
	// PromptLookup is the most tokens that a step guesses at, from what the text had
	// before; the tokens are the same without, in more steps. Nil: the service's
	// default.
	PromptLookup *int
	// Resume has what the client holds already of each choice, by Delta.Index;
	// nil for a request that starts.
	Resume []Resumed
}

// Resumed is what a client holds of a choice whose stream broke.
type Resumed struct {
	TokenIDs  []int32
	TextBytes int
	Finished  bool
	// ArgumentBytes are the bytes of arguments held of each call.
	ArgumentBytes []int
}

// Prompt is a Text, a TokenIDs or a Chat.
type Prompt interface{ field() string }

// Text is a prompt to be tokenized.
type Text string

// TokenIDs is a prompt already tokenized.
type TokenIDs []int32

func (Text) field() string     { return "prompt" }
func (TokenIDs) field() string { return "prompt" }
func (Chat) field() string     { return "messages" }

// SamplingParams says how tokens are chosen. A generation_config.json in the
// model's folder is not applied: equal requests mean the same for every model.
type SamplingParams struct {
	Temperature *float32 // default 1; 0 is greedy
	TopP        *float32 // default 1: off
	TopK        *int     // default 0: off
	// Seed is drawn where nil, and told in PromptInfo. Choice 0 uses it as it
	// is, choice i a seed derived from it and i (ChoiceSeed).
	Seed *uint64
	MinP *float32 // default 0: off

	RepetitionPenalty *float32 // default 1: off
	PresencePenalty   *float32 // default 0
	FrequencyPenalty  *float32 // default 0
	// LogitBias is added to the logits of token ids.
	LogitBias map[int32]float32
	// BadWords must not be generated, at the beginning of a word or within one.
	BadWords []string
}

// Stopping says when a choice ends.
type Stopping struct {
	MaxTokens *int
	// DefaultMaxTokens holds where MaxTokens is nil, clipped to what is left of
	// the context; 0 means all that is left.
	DefaultMaxTokens int
	Stop             []string
	StopTokenIDs     []int32
	IgnoreEOS        bool
	// MinTokens come before any stop token or string is heeded; default 0.
	MinTokens *int
}

// Output says what is told beside the text.
type Output struct {
	// Logprobs is the number of alternatives told with each token's
	// log-probability; nil means no log-probabilities.
	Logprobs *int
	// PromptLogprobs is the same for the prompt's tokens.
	PromptLogprobs *int
	// PromptText fills PromptInfo.Text.
	PromptText bool
	// KeepSpecialTokens shows special tokens in the text.
	KeepSpecialTokens bool
}

// Item is what a Stream yields: exactly one of its fields is set.
type Item struct {
	Prompt *PromptInfo
	Delta  *Delta
}

// PromptInfo comes once per prompt, before the first Delta of its choices.
type PromptInfo struct {
	Index    int // of the prompt
	TokenIDs []int32
	Text     string
	// Logprobs has an entry for each token, where asked for. The first has no
	// log-probability, only its token.
	Logprobs []TokenLogprob
	Seed     uint64
}

// Delta is a piece of one choice.
type Delta struct {
	// Index is the prompt's index times n, plus the choice's.
	Index int
	// Text is whole characters; "" while one is unfinished, or while it may yet
	// turn out to begin a stop string.
	Text string
	// ToolCalls are pieces of calls; their text is not in Text.
	ToolCalls []ToolCallPiece
	// TokenIDs leave out the stop token that ended the choice (EOS or other).
	TokenIDs []int32
	// Logprobs has an entry for each generated token, where asked for; that of
	// a stop token which ended the choice is the last.
	Logprobs []TokenLogprob
	Finish   *Finish // in the choice's last delta
}

// TokenLogprob is a token with its log-probability and the likeliest
// alternatives at its position.
type TokenLogprob struct {
	Alternative
	Top []Alternative
	// Offset is where the token's text begins, in characters from the beginning
	// of the prompt (for its tokens) or of the choice's text.
	Offset int
}

// Alternative is a candidate at a position.
type Alternative struct {
	ID int32
	// Token is its text; see Service.TokenText.
	Token   string
	Logprob float32 // natural logarithm
}

// Finish ends a choice.
type Finish struct {
	Reason FinishReason
	// StopString is the stop string that was met, if one was.
	StopString string
	// StopToken is the end or stop token that was met, if HasStopToken.
	StopToken    int32
	HasStopToken bool
	// EOS: StopToken is one of the model's end-of-sequence tokens.
	EOS bool
	// CompletionTokens counts all tokens that were generated: the stop token,
	// and those whose text a stop string cut off, too.
	CompletionTokens int
}

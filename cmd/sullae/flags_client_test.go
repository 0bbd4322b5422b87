package main

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/sullae/sullae/shard/synth"
)

// clientCLI is the commands that talk to a cluster or look at models.
type clientCLI struct {
	Chat     chatCmd     `cmd:""`
	Generate generateCmd `cmd:""`
	Status   statusCmd   `cmd:""`
	Model    modelCmd    `cmd:""`
}

func parseClient(t *testing.T, args string) (*clientCLI, error) {
	t.Helper()
	var c clientCLI
	p, err := kong.New(&c, kong.DefaultEnvars("SULLAE"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { t.Errorf("%s: wants to exit", args) }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(strings.Split(args, " "))
	return &c, err
}

func TestClientFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		get  func(*clientCLI) any
		want any
	}{
		{"chat", func(c *clientCLI) any { return c.Chat }, chatCmd{GRPC: "127.0.0.1:9090"}},
		{"chat --grpc h:1 --model m --system 짧게 --temperature 0.5 --top-p 0.9 --top-k 5 --seed 18446744073709551615 --max-tokens 9",
			func(c *clientCLI) any { return c.Chat },
			chatCmd{GRPC: "h:1", Model: "m", System: "짧게", MaxTokens: new(int32(9)),
				samplingFlags: samplingFlags{Temperature: new(float32(0.5)), TopP: new(float32(0.9)), TopK: new(int32(5)), Seed: new(uint64(1<<64 - 1))}}},
		{"generate 안녕", func(c *clientCLI) any { return c.Generate },
			generateCmd{Prompt: new("안녕"), GRPC: "127.0.0.1:9090", MaxTokens: 64, N: 1}},
		{"generate - --stop a,b --stop 다. --n 2 --logprobs 0 --ignore-eos --json --max-tokens 0", func(c *clientCLI) any { return c.Generate },
			generateCmd{Prompt: new("-"), GRPC: "127.0.0.1:9090", MaxTokens: 0, N: 2, Stop: []string{"a,b", "다."}, Logprobs: new(int32(0)), IgnoreEOS: true, JSON: true}},
		{"generate --token-ids 1,2,3", func(c *clientCLI) any { return c.Generate },
			generateCmd{GRPC: "127.0.0.1:9090", MaxTokens: 64, N: 1, TokenIDs: []int32{1, 2, 3}}},
		{"status", func(c *clientCLI) any { return c.Status }, statusCmd{HTTP: "http://127.0.0.1:8080"}},
		{"status --http h:1 --json --watch", func(c *clientCLI) any { return c.Status }, statusCmd{HTTP: "h:1", JSON: true, Watch: true}},
		{"model inspect", func(c *clientCLI) any { return c.Model.Inspect }, modelInspectCmd{}},
		{"model inspect d --json --tensors", func(c *clientCLI) any { return c.Model.Inspect }, modelInspectCmd{Dir: "d", JSON: true, Tensors: true}},
		{"model plan --workers 3", func(c *clientCLI) any { return c.Model.Plan }, modelPlanCmd{Workers: 3, KVType: "f32"}},
		{"model plan d --capacities 1,2.5,1 --json", func(c *clientCLI) any { return c.Model.Plan }, modelPlanCmd{Dir: "d", Capacities: []float64{1, 2.5, 1}, KVType: "f32", JSON: true}},
		{"model synth d --preset tiny", func(c *clientCLI) any { return c.Model.Synth }, modelSynthCmd{Dir: "d", Preset: "tiny", DType: "bf16"}},
		{"model synth d --preset tiny --layers 4 --hidden 64 --heads 8 --kv-heads 2 --head-dim 16 --ffn 96 --vocab 600 --max-positions 128 --tied --dtype f32 --seed 7 --shard-bytes 1.5MB --tokenizer-from t",
			func(c *clientCLI) any { return c.Model.Synth },
			modelSynthCmd{Dir: "d", Preset: "tiny", Layers: 4, Hidden: 64, Heads: 8, KVHeads: 2, HeadDim: 16, FFN: 96, Vocab: 600,
				MaxPositions: 128, Tied: true, DType: "f32", Seed: 7, ShardBytes: 1500000, TokenizerFrom: "t"}},
	} {
		parsed, err := parseClient(t, c.args)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
		} else if got := c.get(parsed); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.args, got, c.want)
		}
	}
}

func TestClientFlagErrors(t *testing.T) {
	for args, want := range map[string]string{
		"chat --temperature warm":                   "--temperature",
		"chat extra":                                "unexpected argument extra",
		"generate a b":                              "unexpected argument b",
		"generate --token-ids 1,x":                  "--token-ids",
		"generate a --seed -1":                      "--seed",
		"status --interval 3":                       "--interval",
		"model plan":                                "--workers",
		"model plan --workers 2 --capacities 1":     "--workers",
		"model synth --preset tiny":                 "<dir>",
		"model synth d":                             "--preset",
		"model synth d --preset tiny --dtype int8":  "--dtype",
		"model synth d --preset t --shard-bytes 0":  `"0" is not a size`,
		"model synth d --preset t --shard-bytes 5X": "not a size in bytes",
	} {
		if _, err := parseClient(t, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// A variable that is meant for `sullae up` must not reach another command's flag
// of the same name.
func TestEnvironment(t *testing.T) {
	t.Setenv("SULLAE_GRPC", "h:1")
	t.Setenv("SULLAE_HTTP", "h:2")
	for _, name := range []string{"MODEL", "WORKERS", "SEED", "JSON", "MAX_TOKENS"} {
		t.Setenv("SULLAE_"+name, "3")
	}
	c, err := parseClient(t, "chat")
	if err != nil || !reflect.DeepEqual(c.Chat, chatCmd{GRPC: "h:1"}) {
		t.Errorf("chat: %+v, %v", c.Chat, err)
	}
	if c, err := parseClient(t, "status"); err != nil || c.Status.HTTP != "h:2" {
		t.Errorf("status: %+v, %v", c.Status, err)
	}
	if c, err := parseClient(t, "model plan --capacities 1,1"); err != nil || c.Model.Plan.Workers != 0 {
		t.Errorf("model plan: %+v, %v", c.Model.Plan, err)
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{"1": 1, "12b": 12, "500MB": 500e6, "1.5 kb": 1500, "2GiB": 2 << 30, "5gb": 5e9} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "B", "1e300GB", "NaN", "5 apples"} {
		if err := new(byteSize).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

// The help names the presets, since a struct's tag can't ask for them.
func TestPresetsAreNamed(t *testing.T) {
	field, _ := reflect.TypeFor[modelSynthCmd]().FieldByName("Preset")
	for _, name := range synth.Presets() {
		if !strings.Contains(field.Tag.Get("help"), name) {
			t.Errorf("the help of --preset does not name %s", name)
		}
	}
}

package main

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/ops/tracing"
)

// logFlags are common to the server commands. Logs go to stderr.
type logFlags struct {
	LogLevel  slog.Level `default:"info" help:"debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json."`
}

func (f logFlags) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(tracing.Logs(slog.NewJSONHandler(os.Stderr, opts)))
	}
	return slog.New(tracing.Logs(slog.NewTextHandler(os.Stderr, opts)))
}

// traceFlags say where OpenTelemetry traces go. OTEL_* variables say more.
type traceFlags struct {
	OTLPEndpoint string  `name:"otlp-endpoint" placeholder:"URL" help:"Send OpenTelemetry traces to this collector, such as http://collector:4317; default: OTEL_EXPORTER_OTLP_ENDPOINT, or none are made."`
	OTLPProtocol string  `name:"otlp-protocol" placeholder:"PROTOCOL" help:"grpc or http/protobuf; default: OTEL_EXPORTER_OTLP_PROTOCOL, or grpc."`
	TraceRatio   float64 `default:"-1" placeholder:"R" help:"Share of the traces that begin here that is recorded, 0 to 1; default: OTEL_TRACES_SAMPLER, or all. Callers that sent a traceparent have decided."`
}

func (f traceFlags) config() tracing.Config {
	return tracing.Config{Endpoint: f.OTLPEndpoint, Protocol: f.OTLPProtocol, Ratio: f.TraceRatio}
}

// args repeat the flags for another process.
func (f traceFlags) args() []string {
	args := []string{"--trace-ratio=" + strconv.FormatFloat(f.TraceRatio, 'g', -1, 64)}
	if f.OTLPEndpoint != "" {
		args = append(args, "--otlp-endpoint", f.OTLPEndpoint)
	}
	if f.OTLPProtocol != "" {
		args = append(args, "--otlp-protocol", f.OTLPProtocol)
	}
	return args
}

// etcdFlags say where etcd is.
type etcdFlags struct {
	Etcd           []string     `placeholder:"HOST:PORT" help:"Endpoints of etcd."`
	EtcdUser       string       `placeholder:"NAME" help:"User, where etcd asks for one."`
	EtcdPassword   string       `placeholder:"PASSWORD" help:"Its password; better given in the environment."`
	EtcdCA         string       `name:"etcd-ca" placeholder:"FILE" help:"PEM file of the CA that signed etcd's certificate."`
	EtcdCert       string       `placeholder:"FILE" help:"PEM file of the client certificate."`
	EtcdKey        string       `placeholder:"FILE" help:"PEM file of its key."`
	EtcdServerName string       `placeholder:"NAME" help:"Name in etcd's certificate, where it is not the endpoint's."`
	EtcdPrefix     string       `default:"${etcd_prefix}" help:"Prefix of all keys."`
	LeaseTTL       durationFlag `min:"1s" name:"lease-ttl" default:"4s" help:"How long a process that fell silent stays registered in etcd, or leads."`
	Cluster        string       `default:"default" help:"Name of the cluster; clusters of other names share etcd and gossip without meeting."`
}

func (f etcdFlags) config(log *slog.Logger) registry.Config {
	return registry.Config{
		Endpoints: f.Etcd, Username: f.EtcdUser, Password: f.EtcdPassword, Prefix: f.EtcdPrefix, Cluster: f.Cluster, TTL: f.LeaseTTL, Logger: log,
		TLS: registry.TLSFiles{CA: f.EtcdCA, Cert: f.EtcdCert, Key: f.EtcdKey, ServerName: f.EtcdServerName},
	}
}

// gossipFlags are memberlist's.
type gossipFlags struct {
	Gossip    string `default:"0.0.0.0:0" placeholder:"HOST:PORT" help:"Address for gossip (UDP and TCP); port 0 takes a free one."`
	GossipKey string `placeholder:"BASE64|@FILE" help:"Key that encrypts gossip: 16, 24 or 32 bytes in base64, or @FILE that holds them; the same on all nodes."`
}

func (f gossipFlags) key() ([]byte, error) {
	s := f.GossipKey
	if s == "" {
		return nil, nil
	}
	if path, ok := strings.CutPrefix(s, "@"); ok {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--gossip-key: %w", err)
		}
		s = strings.TrimSpace(string(raw))
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("--gossip-key: not base64: %w (make one with: head -c32 /dev/urandom | base64)", err)
	}
	if n := len(key); n != 16 && n != 24 && n != 32 {
		return nil, fmt.Errorf("--gossip-key: %d bytes; an AES key has 16, 24 or 32 (make one with: head -c32 /dev/urandom | base64)", n)
	}
	return key, nil
}

// tlsFlags are for the streams between nodes.
type tlsFlags struct {
	NodeCA   string `name:"node-ca" placeholder:"FILE" help:"PEM file of the CAs that sign for nodes. With this and the next two every stream between nodes is mutual TLS; \"sullae certs\" makes such files."`
	NodeCert string `placeholder:"FILE" help:"PEM file of this node's certificate; read again when it changes."`
	NodeKey  string `placeholder:"FILE" help:"PEM file of its key."`
	NodeName string `default:"${node_name}" placeholder:"NAME" help:"DNS name that the certificates of all nodes carry (${default})."`
}

// source is nil where no file is given: plain text.
func (f tlsFlags) source(log *slog.Logger) (*nodetls.Source, error) {
	if !f.given() {
		return nil, nil
	}
	return nodetls.Load(nodetls.Files{CA: f.NodeCA, Cert: f.NodeCert, Key: f.NodeKey, Name: f.NodeName}, log)
}

func (f tlsFlags) given() bool { return f.NodeCA != "" || f.NodeCert != "" || f.NodeKey != "" }

// args repeat the flags for another process.
func (f tlsFlags) args() []string {
	if !f.given() {
		return nil
	}
	return []string{"--node-ca", f.NodeCA, "--node-cert", f.NodeCert, "--node-key", f.NodeKey, "--node-name", f.NodeName}
}

// servingFlags are the coordinator's own, shared by coordinator and up.
type servingFlags struct {
	Groups            int          `min:"1" default:"1" placeholder:"N" help:"Groups of --workers workers each that serve side by side; a request goes where its prompt is cached, or where the load is least."`
	HTTP              string       `name:"http" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the OpenAI-compatible HTTP API; port 0 takes a free one."`
	GRPC              string       `name:"grpc" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Address of the gRPC API; port 0 takes a free one."`
	ServedModelName   string       `placeholder:"NAME" help:"Name that clients ask for; default: the folder's."`
	BatchDir          string       `placeholder:"DIR" help:"Take files and batches (/v1/files, /v1/batches), and keep them here; they go on after a restart."`
	KVTokens          int          `min:"0" name:"kv-tokens" placeholder:"N" help:"Positions in the KV cache, over all sequences; default: as many as the workers have memory for, at most --max-seqs contexts."`
	KVType            string       `name:"kv-type" default:"f32" enum:"f32,f16,bf16,q8" help:"How the KV cache is kept: f32, f16, bf16 or q8 (8 bits and a scale for each position's vector)."`
	MaxBatchedTokens  int          `min:"1" default:"512" help:"Most tokens computed in one step."`
	MaxSeqs           int          `min:"1" default:"64" help:"Most sequences running at once."`
	BlockSize         int          `min:"1" default:"16" help:"Positions in a block of the KV cache."`
	Quant             string       `default:"none" enum:"none,q8,q4" help:"Quantize the matrices when they are loaded: none, q8 (8.5 bits a weight) or q4 (4.5 bits)."`
	MaxPrefillChunk   int          `min:"1" default:"256" help:"Most prompt tokens of a step while other sequences stream: the longest that a prompt makes them wait."`
	MaxQueuedRequests int          `min:"1" default:"1024" help:"Most sequences that wait; more are refused with the time to come again."`
	MaxQueuedTokens   int          `min:"0" placeholder:"N" help:"Most tokens that wait; default: 64 contexts."`
	PrefixCache       bool         `default:"true" negatable:"" help:"Find prompts' beginnings again in the KV cache."`
	PromptLookup      int          `min:"0" default:"0" placeholder:"N" help:"Guess at up to N tokens in a step from what the text had before, for requests that do not say (prompt_lookup_num_tokens): the same tokens in fewer steps."`
	Rebalance         durationFlag `min:"0s" default:"10s" help:"How long a worker must hold the others up before shares are dealt anew by measured speed; 0: never."`
	CollectiveTimeout durationFlag `min:"100ms" default:"30s" help:"Longest silence of a worker within a step before it counts as lost."`
}

// packFlags say where a worker keeps packed units.
type packFlags struct {
	PackCache     string   `placeholder:"DIR" help:"Folder for packed units of the model: a worker that starts again loads its share from there. Workers may share it."`
	PackCacheSize byteSize `default:"64GiB" placeholder:"SIZE" help:"Most bytes in it; what was not used for longest goes."`
}

// linkFlags are how the ranks of one host exchange activations.
type linkFlags struct {
	Link string `enum:"auto,grpc" default:"auto" placeholder:"NAME" help:"How workers of one host exchange activations: auto, through memory where they can share it; grpc, over streams as between hosts (auto)."`
}

// deviceFlags say what a worker computes on.
type deviceFlags struct {
	Device    string `default:"auto" placeholder:"NAME" help:"cpu, cuda, cuda:N for the Nth GPU, or auto: a GPU where there is one (auto)."`
	CUDAExact bool   `name:"cuda-exact" help:"Do not round activations to binary16 for a GPU's tensor cores: slower, and the same bits on every GPU."`
}

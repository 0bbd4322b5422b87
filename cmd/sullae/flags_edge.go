package main

import (
	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/coordinator/audit"
	"github.com/sullae/sullae/coordinator/edge"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/policy"
)

// edgeFlags say who may use a coordinator's APIs, and how much.
type edgeFlags struct {
	APIKeys         string       `name:"api-keys" placeholder:"FILE" help:"File of API keys (\"sullae keys\" makes it): calls need one of them. Read again when it changes."`
	TLSCert         string       `name:"tls-cert" placeholder:"FILE" help:"PEM file of the certificate of --http and --grpc; read again when it changes. Without it they are plain text."`
	TLSKey          string       `name:"tls-key" placeholder:"FILE" help:"PEM file of its key."`
	TLSClientCA     string       `name:"tls-client-ca" placeholder:"FILE" help:"PEM file of the CAs that sign for clients: with it every client must show a certificate."`
	MaxRequestBytes int64        `min:"1" default:"33554432" help:"Largest request (${default} bytes)."`
	MaxPromptTokens int          `min:"0" placeholder:"N" help:"Longest prompt; default: the model's context."`
	MaxOutputTokens int          `min:"0" placeholder:"N" help:"Longest answer of a choice; default: what the context leaves."`
	MaxRequestTime  durationFlag `min:"0s" placeholder:"TIME" help:"Longest time of a request, waiting included; default: no bound but the client's own."`
	AuditLog        string       `placeholder:"FILE" help:"Record every request for tokens here, one JSON object a line: who, when, how much, how it ended."`
	AuditContent    bool         `help:"Record prompts and answers, too."`
	AuditSync       string       `default:"second" enum:"second,each,never" help:"When records are forced to the disk: once a second, each, or never (when the system sees fit)."`
	Policy          string       `placeholder:"HOST:PORT" help:"Ask this sullae.policy.v1.PolicyService about every request for tokens, and about what is generated before clients get it."`
	PolicyCA        string       `name:"policy-ca" placeholder:"FILE" help:"PEM file of the CAs that sign for it; without it the connection is plain text."`
	PolicyTimeout   durationFlag `min:"1ms" default:"1s" help:"How long it may take for an answer."`
	PolicyWhenAway  string       `default:"refuse" enum:"refuse,allow" help:"What becomes of requests while it does not answer: refuse or allow."`
	PolicyWindow    int          `min:"1" default:"200" help:"Most characters of an answer that are held back to be checked together."`
	PolicyHold      durationFlag `min:"1ms" default:"500ms" help:"Longest time that they are held back before they are checked."`
	Ops             string       `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Plaintext address of probes (/startupz, /readyz, /livez), /metrics, and /debug/ for this host alone; port 0 takes a free one, empty is none."`
}

// set completes a configuration.
func (f edgeFlags) set(c *coordinator.Config) {
	c.APIKeys, c.OpsAddr, c.MaxRequestBytes = f.APIKeys, f.Ops, f.MaxRequestBytes
	c.TLS = edge.TLSFiles{Cert: f.TLSCert, Key: f.TLSKey, ClientCA: f.TLSClientCA}
	c.Limits = gateway.Limits{MaxPromptTokens: f.MaxPromptTokens, MaxOutputTokens: f.MaxOutputTokens, MaxTime: f.MaxRequestTime}
	c.Policy = policy.Config{Addr: f.Policy, CA: f.PolicyCA, Timeout: f.PolicyTimeout, AllowWhenAway: f.PolicyWhenAway == "allow",
		PolicyConfig: gateway.PolicyConfig{Window: f.PolicyWindow, Hold: f.PolicyHold}}
	c.Audit = audit.Config{File: f.AuditLog, Content: f.AuditContent, Sync: audit.Sync(f.AuditSync)}
}

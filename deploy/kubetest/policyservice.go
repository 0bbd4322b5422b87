//go:build linux

package main

import (
	"context"
	"strings"

	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
)

// Names of the API keys, and what the policy does for the second.
const (
	loadCaller, redacted = "load", "guest"
	forbidden            = "forbidden"
	capital, noCapital   = "서울", "[a city]"
)

// policyService is an operator's: it refuses prompts with a word in them, and
// takes another one out of what one caller gets.
type policyService struct {
	policyv1.UnimplementedPolicyServiceServer
}

// CheckInput implements the policy of prompts.
func (policyService) CheckInput(_ context.Context, r *policyv1.CheckInputRequest) (*policyv1.CheckInputResponse, error) {
	for _, in := range r.GetInputs() {
		text := in.GetText()
		for _, m := range in.GetMessages() {
			text += m.GetContent()
		}
		if strings.Contains(text, forbidden) {
			return &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_REFUSE, Reason: "not this"}, nil
		}
	}
	return &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW}, nil
}

// CheckOutput implements the policy of answers.
func (policyService) CheckOutput(_ context.Context, r *policyv1.CheckOutputRequest) (*policyv1.CheckOutputResponse, error) {
	switch held := r.GetHeld(); {
	case r.GetCaller() != redacted:
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW}, nil
	case strings.Contains(held, capital):
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_REDACT, Replacement: strings.ReplaceAll(held, capital, noCapital)}, nil
	default: // its last character may be the word's first
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW, Keep: 1}, nil
	}
}

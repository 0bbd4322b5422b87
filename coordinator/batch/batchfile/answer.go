package batchfile

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Answer is one line of a batch's output: a response, or the error why there is
// none.
type Answer struct {
	ID       string    `json:"id"`
	CustomID string    `json:"custom_id"`
	Response *Response `json:"response"`
	Error    *Failure  `json:"error"`
}

// Response is what the endpoint answered, whatever its status.
type Response struct {
	StatusCode int             `json:"status_code"`
	RequestID  string          `json:"request_id"`
	Body       json.RawMessage `json:"body"`
}

// Failure is why a request had no answer from the endpoint.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// answerPrefix begins the id of an answer, and with it its line in a log.
const answerPrefix = "batch_req_"

// Responded is the answer with an endpoint's response. A body that is no JSON
// becomes a string.
func Responded(customID string, status int, requestID string, body []byte) Answer {
	if body = bytes.TrimSpace(body); !json.Valid(body) {
		body, _ = json.Marshal(string(body))
	}
	return Answer{ID: newAnswerID(), CustomID: customID, Response: &Response{status, requestID, body}}
}

// Failed is the answer where the endpoint gave none.
func Failed(customID, code, message string) Answer {
	return Answer{ID: newAnswerID(), CustomID: customID, Error: &Failure{code, message}}
}

func newAnswerID() string { return answerPrefix + strings.ToLower(rand.Text()) }

// OK reports whether the request succeeded.
func (a *Answer) OK() bool { return a.Error == nil && a.Response.StatusCode == http.StatusOK }

// Usage counts the tokens that requests took.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
}

// Usage is what the response tells of it.
func (a *Answer) Usage() Usage {
	var body struct {
		Usage Usage `json:"usage"`
	}
	if a.Response != nil {
		_ = json.Unmarshal(a.Response.Body, &body) // an error's body has none
	}
	return body.Usage
}

// line is the answer as a line of a log.
func (a *Answer) line() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a response's body stays as it came
	err := enc.Encode(a)
	return b.Bytes(), err
}

func parseAnswer(text []byte) (*Answer, error) {
	var a Answer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, err
	}
	if a.CustomID == "" || (a.Response == nil) == (a.Error == nil) {
		return nil, errors.New("it has no custom_id, or not one of response and error")
	}
	return &a, nil
}

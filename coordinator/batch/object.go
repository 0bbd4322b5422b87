package batch

import "github.com/sullae/sullae/coordinator/batch/batchfile"

// File is a file, as clients see it.
type File struct {
	ID        string `json:"id"`
	Object    string `json:"object"` // "file"
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"` // "batch", or "batch_output" for answers
	Status    string `json:"status"`  // "processed"
}

// A batch's statuses.
const (
	validating = "validating"
	failed     = "failed"
	inProgress = "in_progress"
	finalizing = "finalizing"
	completed  = "completed"
	expired    = "expired"
	cancelling = "cancelling"
	cancelled  = "cancelled"
)

// Batch is a batch, as clients see it.
type Batch struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"` // "batch"
	Endpoint         string            `json:"endpoint"`
	Errors           *Errors           `json:"errors"`
	InputFileID      string            `json:"input_file_id"`
	CompletionWindow string            `json:"completion_window"`
	Status           string            `json:"status"`
	OutputFileID     *string           `json:"output_file_id"`
	ErrorFileID      *string           `json:"error_file_id"`
	CreatedAt        int64             `json:"created_at"`
	InProgressAt     *int64            `json:"in_progress_at"`
	ExpiresAt        int64             `json:"expires_at"`
	FinalizingAt     *int64            `json:"finalizing_at"`
	CompletedAt      *int64            `json:"completed_at"`
	FailedAt         *int64            `json:"failed_at"`
	ExpiredAt        *int64            `json:"expired_at"`
	CancellingAt     *int64            `json:"cancelling_at"`
	CancelledAt      *int64            `json:"cancelled_at"`
	RequestCounts    Counts            `json:"request_counts"`
	Usage            Usage             `json:"usage"`
	Metadata         map[string]string `json:"metadata"`
}

// Counts are of requests. Failed ones are in the file of errors.
type Counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// Usage sums the tokens of the answers.
type Usage struct {
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	TotalTokens  int64 `json:"total_tokens"`
}

func (u *Usage) add(a batchfile.Usage) {
	u.InputTokens += a.PromptTokens
	u.OutputTokens += a.CompletionTokens
	u.TotalTokens = u.InputTokens + u.OutputTokens
}

// Errors say why a batch failed as a whole.
type Errors struct {
	Object string        `json:"object"` // "list"
	Data   []ErrorOfLine `json:"data"`
}

// ErrorOfLine is one problem; Line is null where it is none of a line.
type ErrorOfLine struct {
	Code    string  `json:"code"`
	Line    *int    `json:"line"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
}

func errorsOf(problems ...*batchfile.Problem) *Errors {
	e := &Errors{Object: "list"}
	for _, p := range problems {
		d := ErrorOfLine{Code: p.Code, Message: p.Message}
		if p.Line > 0 {
			d.Line = &p.Line
		}
		if p.Param != "" {
			d.Param = &p.Param
		}
		e.Data = append(e.Data, d)
	}
	return e
}

// ended reports a status that stays.
func ended(status string) bool {
	switch status {
	case completed, failed, expired, cancelled:
		return true
	}
	return false
}

// stamp sets the status and its time.
func (b *Batch) stamp(status string, at int64) {
	b.Status = status
	switch status {
	case inProgress:
		b.InProgressAt = &at
	case finalizing:
		b.FinalizingAt = &at
	case completed:
		b.CompletedAt = &at
	case failed:
		b.FailedAt = &at
	case expired:
		b.ExpiredAt = &at
	case cancelling:
		b.CancellingAt = &at
	case cancelled:
		b.CancelledAt = &at
	}
}

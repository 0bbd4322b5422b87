package talk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
	"github.com/sullae/sullae/cmd/sullae/internal/lineedit"
	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// session is a conversation with a fake cluster.
func session(t *testing.T, fake *fakecluster.Cluster) *Session {
	t.Helper()
	c, err := remote.Dial(t.Context(), fake.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Session{Cluster: c, Model: fake.Models[0]}
}

// last is the roles and contents of the cluster's last request.
func last(fake *fakecluster.Cluster) string {
	all := fake.Chatted()
	var list []string
	for _, m := range all[len(all)-1].GetMessages() {
		list = append(list, m.GetRole()+" "+m.GetContent())
	}
	return strings.Join(list, " | ")
}

func TestConversation(t *testing.T) {
	fake := fakecluster.Echo()
	s := session(t, fake)
	ask := func(question, want string) {
		t.Helper()
		var streamed strings.Builder
		a, err := s.Ask(t.Context(), question, func(text string) { streamed.WriteString(text) })
		if err != nil || a.Text != want || streamed.String() != want {
			t.Errorf("%s: %q, streamed %q, %v; want %q", question, a.Text, streamed.String(), err, want)
		}
	}
	ask("하나", "u: 하나")
	ask("둘", "uau: 둘")
	if got, want := last(fake), "user 하나 | assistant u: 하나 | user 둘"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	s.apply(command{"/system", "짧게"})
	ask("셋", "su: 셋")
	s.apply(command{name: "/clear"})
	ask("넷", "su: 넷")
	s.apply(command{name: "/system"})
	ask("다섯", "u: 다섯")
}

// The oldest turns go when the conversation leaves no room for an answer.
func TestForgets(t *testing.T) {
	fake := fakecluster.Echo() // 10 tokens a message, a context of 100
	s := session(t, fake)
	s.System = "짧게"
	for i := range 6 {
		a, err := s.Ask(t.Context(), fmt.Sprint(i), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		// The system turn, three pairs and a question fill 75 tokens but for 5.
		want := 0
		if i > 2 {
			want = 2
		}
		if a.Forgotten != want || len(s.messages(s.turns)) > 7 {
			t.Errorf("question %d: %d turns forgotten, %d kept", i, a.Forgotten, len(s.turns))
		}
	}
	if got := last(fake); !strings.HasPrefix(got, "system 짧게 | user 3") {
		t.Errorf("sent %q", got)
	}
	few := int32(60)
	s.MaxTokens = &few
	if a, err := s.Ask(t.Context(), "끝", func(string) {}); err != nil || a.Forgotten != 4 {
		t.Errorf("with --max-tokens 60: %d forgotten, %v", a.Forgotten, err)
	}
}

func TestStoppedAnswerIsKept(t *testing.T) {
	fake := fakecluster.Echo()
	fake.OnChat = func(ctx context.Context, r *sullaev1.ChatRequest, send func(*sullaev1.Delta) error) error {
		if r.GetMessages()[0].GetContent() != "침묵" {
			if err := send(fakecluster.Piece("서울")); err != nil {
				return err
			}
		}
		<-ctx.Done() // until the client is gone
		return ctx.Err()
	}
	s := session(t, fake)
	ctx, cancel := context.WithCancelCause(t.Context())
	a, err := s.Ask(ctx, "수도는?", func(string) { cancel(lineedit.ErrInterrupted) })
	if err != nil || !a.Stopped || a.Text != "서울" || len(s.turns) != 2 || s.turns[1].GetContent() != "서울" {
		t.Errorf("%+v, %v, turns %v", a, err, s.turns)
	}
	s.Clear()
	ctx, cancel = context.WithCancelCause(t.Context())
	go func() {
		for len(fake.Chatted()) < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel(lineedit.ErrInterrupted)
	}()
	if a, err = s.Ask(ctx, "침묵", func(string) {}); len(s.turns) != 0 || err == nil && !a.Stopped {
		t.Errorf("without a word: %+v, %v, turns %v", a, err, s.turns)
	}
}

func TestErrorKeepsConversation(t *testing.T) {
	fake := fakecluster.Echo()
	s := session(t, fake)
	if _, err := s.Ask(t.Context(), "하나", func(string) {}); err != nil {
		t.Fatal(err)
	}
	fake.OnChat = func(_ context.Context, _ *sullaev1.ChatRequest, send func(*sullaev1.Delta) error) error {
		return errors.Join(send(fakecluster.Piece("반")), status.Error(codes.Internal, "broken"))
	}
	if _, err := s.Ask(t.Context(), "둘", func(string) {}); err == nil || len(s.turns) != 2 {
		t.Errorf("%v, %d turns", err, len(s.turns))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ask(ctx, "셋", func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("after SIGTERM: %v", err)
	}
}

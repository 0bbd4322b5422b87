package talk

import "testing"

func TestParse(t *testing.T) {
	for line, want := range map[string]command{
		"":                    {},
		"  안녕 ":               {text: "안녕"},
		"/help":               {name: "/help"},
		"/clear ":             {name: "/clear"},
		"/exit":               {name: "/exit"},
		"/quit":               {name: "/exit"},
		"/system":             {name: "/system"},
		"/system  짧게 답해 ":     {name: "/system", text: "짧게 답해"},
		"//help":              {text: "/help"},
		"/etc/hosts가 뭐예요?":    {text: "/etc/hosts가 뭐예요?"},
		"/":                   {text: "/"},
		"/한글":                 {text: "/한글"},
		"하나\n둘":               {text: "하나\n둘"},
		"1/2 + 1/2 = /clear?": {text: "1/2 + 1/2 = /clear?"},
	} {
		if got, err := parse(line); got != want || err != nil {
			t.Errorf("parse(%q) = %+v, %v, want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"/foo", "/foo bar", "/clear all", "/exit now"} {
		if got, err := parse(line); err == nil {
			t.Errorf("parse(%q) = %+v", line, got)
		}
	}
}

package talk

import (
	"fmt"
	"strings"
)

// help is what /help says.
const help = `/help          this list
/clear         forget the conversation, keep the system turn
/system TEXT   set the system turn and forget the conversation; without TEXT: none
/exit          leave (or Ctrl-D)
//TEXT         say /TEXT
Enter sends, Alt-Enter breaks the line. The arrow keys bring back what you said.
Ctrl-C stops an answer, clears the line, and leaves on an empty one.
`

// command is what a line asks of the program itself.
type command struct {
	name string // "" for something to say
	text string // what to say, or the command's argument
}

// parse tells commands, a slash and letters, from what is meant for the model,
// which may be a path such as /etc/hosts.
func parse(line string) (command, error) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "//"); ok {
		return command{text: "/" + rest}, nil
	}
	name, argument, _ := strings.Cut(line, " ")
	switch name {
	case "/help", "/clear", "/exit", "/quit":
		if argument != "" {
			return command{}, fmt.Errorf("%s takes no argument", name)
		}
		if name == "/quit" {
			name = "/exit"
		}
		return command{name: name}, nil
	case "/system":
		return command{name, strings.TrimSpace(argument)}, nil
	}
	if len(name) > 1 && name[0] == '/' && strings.Trim(name[1:], "abcdefghijklmnopqrstuvwxyz") == "" {
		return command{}, fmt.Errorf("%s is no command (/help lists them; //%s says it to the model)", name, line[1:])
	}
	return command{text: line}, nil
}

// apply does a command that changes the conversation; it returns what to tell.
func (s *Session) apply(c command) string {
	switch c.name {
	case "/help":
		return help
	case "/clear":
		s.Clear()
		return "The conversation is forgotten.\n"
	case "/system":
		s.System = c.text
		s.Clear()
		if c.text == "" {
			return "There is no system turn now; the conversation is forgotten.\n"
		}
		return "The system turn is set; the conversation is forgotten.\n"
	}
	return ""
}

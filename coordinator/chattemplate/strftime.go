package chattemplate

import (
	"fmt"
	"strings"
	"time"
)

// goLayouts are the directives that Go's layouts can say. They are those of the C
// locale; - takes leading zeros away, as glibc does.
var goLayouts = map[string]string{
	"a": "Mon", "A": "Monday", "b": "Jan", "B": "January", "h": "Jan",
	"d": "02", "-d": "2", "e": "_2", "m": "01", "-m": "1", "y": "06", "Y": "2006",
	"H": "15", "I": "03", "-I": "3", "M": "04", "-M": "4", "S": "05", "-S": "5", "p": "PM",
	"c": "Mon Jan _2 15:04:05 2006", "x": "01/02/06", "X": "15:04:05",
	"D": "01/02/06", "F": "2006-01-02", "T": "15:04:05", "R": "15:04", "r": "03:04:05 PM",
}

// strftime formats as Python does for a time without a zone.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.WriteString(format)
			return b.String()
		}
		b.WriteString(format[:i])
		format = format[i+1:]
		n := 1
		if strings.HasPrefix(format, "-") {
			n = 2
		}
		if len(format) < n {
			failf("strftime_now: format ends in the middle of a directive")
		}
		b.WriteString(directive(t, format[:n]))
		format = format[n:]
	}
}

func directive(t time.Time, d string) string {
	if d == "f" {
		return fmt.Sprintf("%06d", t.Nanosecond()/1000)
	}
	if layout, ok := goLayouts[d]; ok {
		return t.Format(layout)
	}
	sunday := int(t.Weekday())
	monday := (sunday + 6) % 7
	switch d {
	case "%":
		return "%"
	case "n":
		return "\n"
	case "t":
		return "\t"
	case "z", "Z":
		return ""
	case "j":
		return fmt.Sprintf("%03d", t.YearDay())
	case "-j":
		return fmt.Sprint(t.YearDay())
	case "-H":
		return fmt.Sprint(t.Hour())
	case "w":
		return fmt.Sprint(sunday)
	case "u":
		return fmt.Sprint(monday + 1)
	case "U":
		return fmt.Sprintf("%02d", (t.YearDay()+6-sunday)/7)
	case "W":
		return fmt.Sprintf("%02d", (t.YearDay()+6-monday)/7)
	case "s":
		return fmt.Sprint(t.Unix())
	}
	failf("strftime_now: directive %q is not supported", "%"+d)
	return ""
}

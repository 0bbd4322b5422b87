package grammar

// formats are the formats of strings that are enforced, as patterns that every valid
// checker accepts: some write less than the format's standard allows.
var formats = map[string]string{
	"date":      datePattern,
	"time":      timePattern,
	"date-time": datePattern + "T" + timePattern,
	"duration":  `P(\d{1,4}W|(\d{1,4}Y(\d{1,4}M(\d{1,4}D)?)?|\d{1,4}M(\d{1,4}D)?|\d{1,4}D)(T` + durationTime + `)?|T` + durationTime + `)`,
	"email":     `[A-Za-z0-9_+-]{1,30}(\.[A-Za-z0-9_+-]{1,15}){0,2}@` + label + `(\.` + label + `){1,3}`,
	"hostname":  label + `(\.` + label + `){0,3}`,
	"ipv4":      octet + `(\.` + octet + `){3}`,
	"ipv6":      `[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}|([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,3})?::([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,2})?`,
	"uuid":      `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"uri": `[a-z][a-z0-9+-]{1,15}://` + label + `(\.` + label + `)*(:[1-9][0-9]{0,3})?` +
		`(/` + pathChar + `*)*(\?` + pathChar + `*)?(#` + pathChar + `*)?`,
}

const (
	// Every fourth year has a 29th of February, a hundredth one only every fourth time.
	leapYear    = `(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)`
	anyYear     = `(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})`
	datePattern = `(` + anyYear + `-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))|` +
		leapYear + `-02-29)`
	timePattern  = `([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`
	durationTime = `(\d{1,4}H(\d{1,4}M(\d{1,4}S)?)?|\d{1,4}M(\d{1,4}S)?|\d{1,4}S)`
	octet        = `(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])`
	label        = `[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?`
	pathChar     = `[A-Za-z0-9._~!$&'()*+,;=:@-]`
)

// numberFormats are OpenAPI's, as bounds.
var numberFormats = map[string][2]string{
	"int32":  {"-2147483648", "2147483647"},
	"int64":  {"-9223372036854775808", "9223372036854775807"},
	"uint32": {"0", "4294967295"},
	"uint64": {"0", "18446744073709551615"},
	"float":  {}, "double": {},
}

// freeFormats say how a string is meant and not what it may be.
var freeFormats = map[string]bool{"password": true, "textarea": true, "markdown": true}

// patternOf is the pattern of a string format that a schema names, if it does.
func (c *schemaCompiler) patternOf(n *jsonNode) (string, bool) {
	f := n.member("format")
	if f == nil {
		return "", false
	}
	if p, ok := formats[f.text]; ok {
		return p, true
	}
	if _, ok := numberFormats[f.text]; f.kind != 's' || !ok && !freeFormats[f.text] {
		c.fail(f.at, "the format %s is not supported", appendJSON(nil, f))
	}
	return "", false
}

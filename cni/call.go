package cni

import (
	"slices"
	"strings"
	"unicode"
)

// versions of CNI that the plugin speaks, oldest first.
var versions = []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// Call is one command of a runtime, as its environment and standard input tell
// it.
type Call struct {
	Command     string
	ContainerID string
	// IfName is the NIC that an address is wanted for.
	IfName string
	// Args is CNI_ARGS, see ParseArgs.
	Args string
	// Stdin is the network configuration.
	Stdin []byte
}

// need is a variable of the environment and the commands that cannot do
// without it. CNI_NETNS is wanted though it is not used: its absence is a fault
// of the runtime that would show later and elsewhere.
type need struct {
	variable string
	commands []string
	what     string            // for people
	valid    func(string) bool // nil where every value is
}

var needs = []need{
	{"CNI_CONTAINERID", []string{"ADD", "CHECK"}, "a container's identifier", isIdentifier},
	{"CNI_NETNS", []string{"ADD", "CHECK"}, "a network namespace", nil},
	{"CNI_IFNAME", []string{"ADD", "CHECK"}, "the name of a NIC", isNIC},
	{"CNI_PATH", []string{"ADD", "CHECK", "STATUS"}, "a search path", nil},
}

// since holds the commands that read something, and the first version of CNI
// that knows each.
var since = map[string]string{"ADD": "0.3.1", "CHECK": "0.4.0", "STATUS": "1.1.0"} // command -> version

// newCall reads the environment.
func newCall(getenv func(string) string) (*Call, error) {
	c := &Call{
		Command:     getenv("CNI_COMMAND"),
		ContainerID: getenv("CNI_CONTAINERID"),
		IfName:      getenv("CNI_IFNAME"),
		Args:        getenv("CNI_ARGS"),
	}
	if since[c.Command] == "" {
		return nil, fail(CodeInvalidEnvironmentVariables, "", "CNI_COMMAND: unknown command %q", c.Command)
	}
	for _, need := range needs {
		if !slices.Contains(need.commands, c.Command) {
			continue
		}
		value := getenv(need.variable)
		if value == "" {
			return nil, fail(CodeInvalidEnvironmentVariables, "", "%s needs %s", c.Command, need.variable)
		}
		if need.valid != nil && !need.valid(value) {
			return nil, fail(CodeInvalidEnvironmentVariables, "", "%s: %q is not %s", need.variable, value, need.what)
		}
	}
	return c, nil
}

// speaks returns an error unless the command exists in the configuration's
// version of CNI and the plugin speaks it.
func (c *Call) speaks(conf *NetConf) error {
	if !slices.Contains(versions, conf.CNIVersion) {
		return fail(CodeIncompatibleCNIVersion, "", "cniVersion %q is none of %s", conf.CNIVersion, strings.Join(versions, ", "))
	}
	if slices.Index(versions, conf.CNIVersion) < slices.Index(versions, since[c.Command]) {
		return fail(CodeIncompatibleCNIVersion, "", "%s needs cniVersion %s or later, not %q", c.Command, since[c.Command], conf.CNIVersion)
	}
	return nil
}

// isIdentifier is what the specification allows for containers and networks:
// an alphanumeric character, then those and _ . -
func isIdentifier(text string) bool {
	for i, c := range []byte(text) {
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return text != ""
}

// maxNIC is the length of the longest name that Linux takes for a NIC.
const maxNIC = 15

func isNIC(name string) bool {
	if name == "" || len(name) > maxNIC || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) })
}

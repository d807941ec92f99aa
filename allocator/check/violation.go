package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is what was violated; see the package comment.
type Rule string

// The rules.
const (
	RuleDouble   Rule = "I1"
	RuleRecorded Rule = "I2"
	RuleLeak     Rule = "I3"
	RuleForeign  Rule = "I7"
	RuleCounters Rule = "counters"
	RulePools    Rule = "pools"
	RuleEndpoint Rule = "endpoint"
	RulePod      Rule = "pod"
)

// Violation is one thing that is wrong.
type Violation struct {
	Rule    Rule
	Subject string // the object, such as pool "blue"
	Detail  string
	// Passing means that it may be so for some time: it is wrong only if it stays.
	Passing bool
	// Patience is how much longer than others it may stay.
	Patience time.Duration
}

func (v Violation) String() string {
	if v.Passing {
		return fmt.Sprintf("%s: %s: %s (may pass)", v.Rule, v.Subject, v.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", v.Rule, v.Subject, v.Detail)
}

// Format writes one violation per line.
func Format(violations []Violation) string {
	lines := make([]string, len(violations))
	for i, v := range violations {
		lines[i] = v.String()
	}
	return strings.Join(lines, "\n")
}

// final reports whether waiting cannot fix one of them, or one has stayed longer than it may.
func final(violations []Violation, waited, within time.Duration) bool {
	return slices.ContainsFunc(violations, func(v Violation) bool { return !v.Passing || waited > within+v.Patience })
}

package ledger

import (
	"fmt"
	"strings"

	"spidernet.io/spiderpool/allocator"
)

// Usage is what has become of the addresses of a pool that gives none.
type Usage struct {
	Size   uint64
	Counts allocator.Counts
	Given  int // free ones that others are being given
	// Withheld says of those that are free and not handed out how many they are and why.
	Withheld []string
}

// String says how many addresses are taken in which way, and when each of these ends. What changes
// with every pod is in parentheses, which Gist leaves out.
func (u Usage) String() string {
	if u.Size == 0 {
		return "it has no addresses (spec.ips without spec.excludeIPs, spec.gateway, the next hops of spec.routes and the broadcast address)"
	}
	text := fmt.Sprintf("all %d addresses are ", u.Size)
	if u.Size == 1 {
		text = "its only address is "
	}
	if len(u.Withheld) > 0 {
		text += "not handed out or "
	}
	parts := figures(u.Counts)
	if u.Given > 0 {
		parts = append(parts, fmt.Sprintf("%d given to pods before it", u.Given))
	}
	if parts = append(parts, u.Withheld...); len(parts) > 0 {
		return text + beforeFigures + strings.Join(parts, ", ") + ")"
	}
	return text + "taken"
}

const beforeFigures = "taken ("

// Gist returns a message without the figures of Usage, to be compared with others.
func Gist(message string) string {
	var gist strings.Builder
	for {
		before, figures, found := strings.Cut(message, beforeFigures)
		gist.WriteString(before)
		if !found {
			return gist.String()
		}
		gist.WriteString("taken")
		_, message, _ = strings.Cut(figures, ")")
	}
}

// figures says how many addresses are taken in each way, and until when.
func figures(c allocator.Counts) []string {
	var parts []string
	for _, f := range [...]struct {
		n         int
		one, more string
	}{
		{c.Settled + c.RetainedInUse, "in use until its pod ends", "in use until their pods end"},
		{c.Reserved + c.PendingAdmission, "reserved until its pod comes or it expires", "reserved until their pods come or they expire"},
		{
			c.Retained - c.PendingAdmission - c.RetainedInUse - c.RetainedHeld,
			"kept for a stable identity until its owner is deleted or scaled down", "kept for stable identities until their owners are deleted or scaled down",
		},
		{c.Held + c.RetainedHeld, "held until its node is Ready again, gone or out of service", "held until their nodes are Ready again, gone or out of service"},
	} {
		switch f.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+f.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.more))
		}
	}
	return parts
}

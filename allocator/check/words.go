package check

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The words of a line. Each has exactly one spelling.
var (
	aName   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,252}$`) // of an object, or a UID
	aToken  = regexp.MustCompile(`^[a-z2-7]{16}$`)                     // of an admission
	aDigest = regexp.MustCompile(`^[a-z2-7]{8}$`)                      // of a controller's UID
)

// unknownName is written for a name that is unknown.
const unknownName = "-"

func readName(what, text string) (string, error) {
	if !aName.MatchString(text) {
		return "", fmt.Errorf("%s %q: not a name", what, text)
	}
	return text, nil
}

// readNameOrUnknown returns an empty name for unknownName.
func readNameOrUnknown(what, text string) (string, error) {
	if text == unknownName {
		return "", nil
	}
	return readName(what, text)
}

// readToken reads the token of an admission.
func readToken(text string) (string, error) {
	if !aToken.MatchString(text) {
		return "", fmt.Errorf("token %q: want 16 characters of a-z and 2-7", text)
	}
	return text, nil
}

func readAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q: not an address", text)
	case a.Zone() != "" || a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q: an address with a zone, or an IPv4 address as IPv6", text)
	case a.String() != text:
		return netip.Addr{}, fmt.Errorf("%q: write it as %s", text, a)
	}
	return a, nil
}

// readTime reads a UTC time in whole seconds.
func readTime(text string) (time.Time, error) {
	const form = "2006-01-02T15:04:05Z"
	t, err := time.Parse(form, text)
	if err != nil || t.Format(form) != text || t.Year() < 1 {
		return time.Time{}, fmt.Errorf("%q: not a UTC time such as 2026-11-23T10:00:00Z", text)
	}
	return t, nil
}

const (
	// usualGrace is the default termination grace. Only a longer one is written.
	usualGrace = 30 * time.Second
	// countedGrace is the most that is waited for; a longer one is an older controller's.
	countedGrace = 24 * time.Hour
	// longestGrace is the most that is written, a hundred years.
	longestGrace = 100 * 365 * 24 * time.Hour
)

// readGrace reads a termination grace such as 3600s.
func readGrace(text string) (time.Duration, error) {
	digits, ok := strings.CutSuffix(text, "s")
	n, err := strconv.ParseUint(digits, 10, 32)
	grace := time.Duration(n) * time.Second
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits || grace <= usualGrace || grace > longestGrace {
		return 0, fmt.Errorf("%q: not a grace in whole seconds, from 31s to a hundred years", text)
	}
	return grace, nil
}

// Owner names the owner of stable identities, such as a StatefulSet. The group of a core kind is
// empty.
type Owner struct{ Namespace, Group, Kind, Name string }

// identity is what an address is kept for: a pod name under an owner.
type identity struct {
	Owner
	pod      string
	ownerUID string // may be empty
}

// readOwner reads an owner whose kind is written as Kind.group, or as Kind for the core group.
func readOwner(namespace, kindAndGroup, name string) (Owner, error) {
	kind, group, dotted := strings.Cut(kindAndGroup, ".")
	o := Owner{Namespace: namespace, Group: group, Kind: kind, Name: name}
	names := [][2]string{{"namespace", namespace}, {"kind", kind}, {"owner", name}}
	if dotted {
		names = append(names, [2]string{"group", group})
	}
	for _, n := range names {
		if _, err := readName(n[0], n[1]); err != nil {
			return Owner{}, err
		}
	}
	return o, nil
}

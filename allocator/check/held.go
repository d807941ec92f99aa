package check

import (
	"errors"
	"strings"
	"time"
)

// hold is the entry of an address of a pod that vanished without a kubelet confirming its end.
type hold struct {
	node  string // empty where it is unknown
	since time.Time
	grace time.Duration // of the pod; zero for the default
}

// readHeld reads a line: address, node or -, time, and a grace that is not the default.
func readHeld(line string) ([]entry, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 || len(f) > 4 {
		return nil, errors.New("want address, node and time, and perhaps a grace")
	}
	a, err := readAddress(f[0])
	if err != nil {
		return nil, err
	}
	h, err := readHold(f[1], f[2], f[3:])
	if err != nil {
		return nil, err
	}
	return []entry{{addr: a, held: h}}, nil
}

// readHold reads the parts of a hold; there is at most one grace.
func readHold(node, since string, graces []string) (h *hold, err error) {
	h = &hold{}
	if h.node, err = readNameOrUnknown("node", node); err != nil {
		return nil, err
	}
	if h.since, err = readTime(since); err != nil {
		return nil, err
	}
	for _, text := range graces {
		if h.grace, err = readGrace(text); err != nil {
			return nil, err
		}
	}
	return h, nil
}

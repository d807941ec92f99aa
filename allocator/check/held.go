package check

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// hold is the entry of an address of a pod that vanished without a kubelet confirming its end.
type hold struct {
	node      string // empty where it is not known
	since     time.Time
	grace     time.Duration // of the pod; zero for the usual one
	namespace string        // of the pod; empty where it is not known
	pod       string        // empty where it is not known
	until     time.Time     // when it is expected to end; zero where that is not known
}

// readHeld reads a line: address, node or -, time, and a grace that is not the usual one. Behind
// them may stand pod: with namespace/name or namespace/-, and until: with a time, in this order.
func readHeld(line string) ([]entry, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return nil, errors.New("want address, node and time, and perhaps a grace and words")
	}
	a, err := readAddress(f[0])
	if err != nil {
		return nil, err
	}
	words := f[3:]
	var graces []string
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		graces, words = words[:1], words[1:]
	}
	h, err := readHold(f[1], f[2], graces)
	if err != nil {
		return nil, err
	}
	if err := h.readWords(words); err != nil {
		return nil, err
	}
	return []entry{{addr: a, held: h}}, nil
}

func (h *hold) readWords(words []string) (err error) {
	if len(words) > 0 && strings.HasPrefix(words[0], "pod:") {
		if err := h.readPod(strings.TrimPrefix(words[0], "pod:")); err != nil {
			return err
		}
		words = words[1:]
	}
	if len(words) > 0 && strings.HasPrefix(words[0], "until:") {
		if h.until, err = readUntil(strings.TrimPrefix(words[0], "until:")); err != nil {
			return err
		}
		words = words[1:]
	}
	if len(words) > 0 {
		return fmt.Errorf("%q: want pod: and until:, each once and in this order", words[0])
	}
	return nil
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

// readPod reads namespace/name, or namespace/- where the pod was never seen.
func (h *hold) readPod(text string) (err error) {
	namespace, name, _ := strings.Cut(text, "/")
	if h.namespace, err = readName("namespace", namespace); err != nil {
		return err
	}
	h.pod, err = readNameOrUnknown("pod", name)
	return err
}

// readUntil reads a time that is not the zero one, which is written as nothing.
func readUntil(text string) (time.Time, error) {
	t, err := readTime(text)
	if err == nil && t.IsZero() {
		err = fmt.Errorf("%q: leave it out", text)
	}
	return t, err
}

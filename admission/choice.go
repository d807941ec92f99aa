package admission

import (
	"encoding/json"
	"fmt"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Choice is what a pod asks for.
type Choice struct {
	// Ours is false for a pod that is to be left alone; then nothing else is set.
	Ours bool
	// Slots has one list for each address: the pools that may give it, in order of preference.
	Slots [][]string
	// Rule says which rule chose the pools, and PassedOver which pools it passed over and why, empty where none: for messages.
	Rule, PassedOver string
	// Reservation is what there is to say of the pod, but for the token and, of a pod that is stored, its name and UID.
	Reservation allocator.Reservation

	chosen selection.Selection
}

// newChoice returns what was chosen for the pod of s.
func newChoice(s selection.Snapshot, chosen selection.Selection) Choice {
	if len(chosen.NICs) == 0 {
		return Choice{}
	}
	return Choice{
		Ours:        true,
		Slots:       chosen.Slots(),
		Rule:        chosen.Rule,
		PassedOver:  chosen.PassedOver(),
		Reservation: reservationOf(s.Pod, s.Namespace.Name, s.Config),
		chosen:      chosen,
	}
}

// Annotations returns what is to be written to a pod for which claims were reserved under token; claims[i] belongs to Slots[i].
func (c Choice) Annotations(token string, claims []crdv1.Claim) (map[string]string, error) {
	assigned, err := assignments(c.chosen, claims)
	if err != nil {
		return nil, err
	}
	written := map[string]string{crdv1.AnnotationReservation: token} // annotation -> value
	for _, a := range assigned {
		value, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("encoding assignment of %s: %w", a.Interface, err)
		}
		written[crdv1.AnnotationAssignedPrefix+a.Interface] = string(value)
	}
	return written, nil
}

// reserveError says that pools were chosen and gave no addresses.
type reserveError struct {
	choice Choice
	cause  error
}

func (e *reserveError) Error() string {
	text := "pools chosen by " + e.choice.Rule + ": " + e.cause.Error()
	if e.choice.PassedOver != "" {
		text += "; passed over: " + e.choice.PassedOver
	}
	return text
}

func (e *reserveError) Unwrap() error { return e.cause }

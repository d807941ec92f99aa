package admission

import (
	"encoding/json"
	"fmt"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// newChoice returns what was chosen for the pod of s.
func newChoice(s selection.Snapshot, chosen selection.Selection) choice.Choice {
	if len(chosen.Slots) == 0 {
		return choice.Choice{}
	}
	return choice.Choice{
		Ours:        true,
		Rule:        chosen.Rule,
		Slots:       chosen.Slots,
		Reservation: reservationOf(s.Pod, s.Namespace.Name, s.Config),
		Patch: func(token string, claims []crdv1.Claim) (choice.Patch, error) {
			return patchFor(chosen, token, claims)
		},
	}
}

// patchFor returns what is written to a pod for which claims were reserved under token; claims[i] belongs to the i-th slot.
func patchFor(chosen selection.Selection, token string, claims []crdv1.Claim) (choice.Patch, error) {
	assigned, err := assignments(chosen, claims)
	if err != nil {
		return choice.Patch{}, err
	}
	written := map[string]string{crdv1.AnnotationReservation: token} // annotation -> value
	for _, a := range assigned {
		value, err := json.Marshal(a)
		if err != nil {
			return choice.Patch{}, fmt.Errorf("encoding assignment of %s: %w", a.Interface, err)
		}
		written[crdv1.AnnotationAssignedPrefix+a.Interface] = string(value)
	}
	return choice.Patch{Annotations: written}, nil
}

// reserveError says that pools were chosen and gave no addresses.
type reserveError struct {
	choice choice.Choice
	cause  error
}

func (e *reserveError) Error() string {
	text := "pools chosen by " + e.choice.Rule + ": " + e.cause.Error()
	if passed := e.choice.PassedOver(); passed != "" {
		text += "; passed over: " + passed
	}
	return text
}

func (e *reserveError) Unwrap() error { return e.cause }

package check

import (
	"testing"
	"time"
)

func TestWhatMayPassIsFinalOnceItHasStayedTooLong(t *testing.T) {
	t.Parallel()
	leak, double := Violation{Rule: RuleLeak, Passing: true}, Violation{Rule: RuleDouble}
	hold := Violation{Rule: RuleLeak, Passing: true, Patience: time.Minute}
	tests := map[string]struct {
		found  []Violation
		waited time.Duration
		want   bool
	}{
		"a leak at first":               {[]Violation{leak}, time.Second, false},
		"a leak after the time for all": {[]Violation{leak}, 11 * time.Second, true},
		"a hold after the time for all": {[]Violation{hold}, 11 * time.Second, false},
		"a hold after its own time":     {[]Violation{hold}, 71 * time.Second, true},
		"a double, at once":             {[]Violation{leak, double}, 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := final(tc.found, tc.waited, 10*time.Second); got != tc.want {
				t.Errorf("final is %v, want %v", got, tc.want)
			}
		})
	}
}

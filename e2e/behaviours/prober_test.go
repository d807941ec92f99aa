package behaviours

import (
	"testing"
	"time"
)

func TestDoubleSeesWhoeverAnswersBesideAnother(t *testing.T) {
	t.Parallel()
	heard := func(who string) (all []Answer) { // one letter a second
		for i, by := range who {
			if by != ' ' {
				all = append(all, Answer{time.Unix(int64(i), 0), string(by)})
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		answers    string
		wantDouble bool
	}{
		"nobody answers":                   {answers: ""},
		"one answers":                      {answers: "aaa"},
		"another answers after a silence":  {answers: "aaa   bbb"},
		"another answers at once":          {answers: "aaabbb"},
		"both answer in turns":             {answers: "ababab", wantDouble: true},
		"another answers once in between":  {answers: "aaabaaa", wantDouble: true},
		"the first comes back":             {answers: "aaabbba", wantDouble: true},
		"the first comes back after hours": {answers: "a    b    a", wantDouble: true},
		"the third comes beside the second": {
			answers: "aabcb", wantDouble: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Double(heard(c.answers)); (got != "") != c.wantDouble {
				t.Errorf("it finds %q", got)
			}
		})
	}
}

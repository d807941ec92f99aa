package parallel_test

import (
	"errors"
	"slices"
	"testing"

	"spidernet.io/spiderpool/allocator/internal/parallel"
)

func TestDoDoesAllAndKeepsTheOrderOfErrors(t *testing.T) {
	t.Parallel()
	all := make([]int, 3*4)
	for i := range all {
		all[i] = i
	}
	odd := errors.New("odd")
	errs := parallel.Do(4, all, func(i int) error {
		if i%2 == 1 {
			return odd
		}
		return nil
	})
	for i, err := range errs {
		if (err != nil) != (i%2 == 1) {
			t.Errorf("error %d is %v", i, err)
		}
	}
	if !slices.Contains(errs, odd) || len(errs) != len(all) {
		t.Errorf("%d errors", len(errs))
	}
}

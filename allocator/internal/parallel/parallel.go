// Package parallel does one thing for many, several at once.
package parallel

import "sync"

// Do calls do for all of them, at most atOnce at one moment, and returns the errors in their order.
func Do[T any](atOnce int, all []T, do func(T) error) []error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i := range all {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			errs[i] = do(all[i])
		})
	}
	wg.Wait()
	return errs
}

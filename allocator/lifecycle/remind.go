package lifecycle

import (
	"maps"
	"sync"
	"time"
)

const (
	remindEvery = time.Minute
	// remindGap is how long a matter may not be met and still be the same one.
	remindGap = 10 * time.Second
)

// reminders say when the log is to have once more what goes on and on. The zero value is ready, and
// safe for concurrent use.
type reminders struct {
	mu  sync.Mutex
	all map[string]reminder // matter -> what is known of it
}

type reminder struct{ first, last, told time.Time }

// due is called whenever a matter is met. It is due once it has lasted for as long as wait, and
// then every minute.
func (r *reminders) due(matter string, now time.Time, wait time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.all, func(_ string, m reminder) bool { return now.Sub(m.last) > remindGap })
	if r.all == nil {
		r.all = map[string]reminder{}
	}
	m, ok := r.all[matter]
	if !ok {
		m.first = now
	}
	m.last = now
	is := now.Sub(m.first) >= wait && (m.told.IsZero() || now.Sub(m.told) >= remindEvery)
	if is {
		m.told = now
	}
	r.all[matter] = m
	return is
}

package ledger

import (
	"sync"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Decoder reads versions of pools, and each version of a pool only once, whoever asks: to decode a
// large record is dear, and many look at it. It keeps one version of each pool. The zero value is
// ready, nil remembers nothing. It is safe for concurrent use.
type Decoder struct {
	mu    sync.Mutex
	known map[string]*State // pool -> the newest version that was read or written
}

// Read is the function Read for objects that nobody changes.
func (d *Decoder) Read(pool *crdv1.SpiderIPPool) (*State, error) {
	if d == nil {
		return Read(pool)
	}
	if s := d.get(pool.Name); s != nil && s.Pool.UID == pool.UID && s.Pool.ResourceVersion == pool.ResourceVersion {
		return s, nil
	}
	s, err := Read(pool)
	if err == nil {
		d.know(s)
	}
	return s, err
}

func (d *Decoder) get(pool string) *State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[pool]
}

// know remembers a version, unless a newer one is known.
func (d *Decoder) know(s *State) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.known[s.Pool.Name]; old != nil && old.Revision > s.Revision {
		return
	}
	if d.known == nil {
		d.known = map[string]*State{}
	}
	d.known[s.Pool.Name] = s
}

// forget drops a pool that is gone.
func (d *Decoder) forget(pool string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, pool)
}

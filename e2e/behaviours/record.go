package behaviours

import (
	"fmt"
	"testing"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/status"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// RecordOf reads the record of a pool.
func RecordOf(pool *crdv1.SpiderIPPool) (*allocator.Record, error) {
	return status.Record(&pool.Status)
}

// Record reads the record of a pool as it is now.
func (e *Env) Record(t *testing.T, pool string) *allocator.Record {
	t.Helper()
	record, err := RecordOf(e.Pool(t, pool))
	if err != nil {
		t.Fatalf("pool %q: %v", pool, err)
	}
	return record
}

// AwaitRecord waits until the record of a pool is as wanted.
func (e *Env) AwaitRecord(t *testing.T, pool string, wanted func(*allocator.Record) error) {
	t.Helper()
	e.AwaitPool(t, pool, func(p *crdv1.SpiderIPPool) error {
		record, err := RecordOf(p)
		if err != nil {
			return err
		}
		if err := wanted(record); err != nil {
			return fmt.Errorf("%w; status is %+v", err, p.Status)
		}
		return nil
	})
}

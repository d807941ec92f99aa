package ledger

import (
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Metrics counts the writes of a ledger.
type Metrics struct {
	writes *prometheus.CounterVec // by result
	batch  prometheus.Histogram
}

// The results of a write.
const (
	resultStored   = "stored"
	resultConflict = "conflict" // somebody else wrote first; it is computed anew
	resultError    = "error"    // its outcome was not known at once, or it was refused
)

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spiderpool_ledger_writes_total",
			Help: "Writes of pool status by result: stored, conflict, or error where the outcome was not known at once.",
		}, []string{"result"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "spiderpool_ledger_batch_size",
			Help:    "Changes that shared one stored write of pool status.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
	}
	for _, result := range []string{resultStored, resultConflict, resultError} {
		m.writes.WithLabelValues(result) // shown from the start: a rate needs its zero
	}
	r.MustRegister(m.writes, m.batch)
	return m
}

func (m *Metrics) wrote(changes int, err error) {
	switch {
	case m == nil:
	case err == nil:
		m.writes.WithLabelValues(resultStored).Inc()
		m.batch.Observe(float64(changes))
	case apierrors.IsConflict(err):
		m.writes.WithLabelValues(resultConflict).Inc()
	default:
		m.writes.WithLabelValues(resultError).Inc()
	}
}

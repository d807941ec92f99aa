package lifecycle

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
)

// Metrics count what the leader does. Their methods do nothing on nil.
type Metrics struct {
	late       *latebind.Metrics
	steps      *prometheus.CounterVec
	releases   prometheus.Histogram
	violations *prometheus.CounterVec
	leading    prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		late: latebind.NewMetrics(r),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spiderpool_address_steps_total",
			Help: "Steps in the lives of addresses that the leader took, as the log names them.",
		}, []string{"step"}),
		releases: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "spiderpool_release_seconds",
			Help:    "From the moment at which the leader saw a pod's end until its address was free or held.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 10),
		}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spiderpool_invariant_violations_total",
			Help: "Violations that were seen: I1, two live pods claim one address; I2, a live pod claimed an address that its pool did not know. Alert on any.",
		}, []string{"invariant"}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "spiderpool_leading",
			Help: "1 in the replica that leads. Alert when none does for a minute, and on frequent changes: each restarts every grace.",
		}),
	}
	for _, verb := range []string{settled, released, vacated, givenBack, held, putBack, passedOn, expired, holdEnded, freed, bound, unbound} {
		m.steps.WithLabelValues(verb)
	}
	for _, invariant := range []string{violatedI1, violatedI2} {
		m.violations.WithLabelValues(invariant)
	}
	r.MustRegister(m.steps, m.releases, m.violations, m.leading)
	return m
}

// lateBinding returns the metrics of late binding; nil where there are none.
func (m *Metrics) lateBinding() *latebind.Metrics {
	if m == nil {
		return nil
	}
	return m.late
}

// Invariants whose violations are seen.
const (
	violatedI1 = "I1"
	violatedI2 = "I2"
)

// ended counts a step that followed the end of a pod noticed at since.
func (m *Metrics) ended(verb string, since time.Time) {
	if m == nil {
		return
	}
	m.step(verb)
	if !since.IsZero() {
		m.releases.Observe(time.Since(since).Seconds())
	}
}

func (m *Metrics) step(verb string) {
	if m != nil {
		m.steps.WithLabelValues(verb).Inc()
	}
}

func (m *Metrics) violated(invariant string) {
	if m != nil {
		m.violations.WithLabelValues(invariant).Inc()
	}
}

// leads shows that this replica leads, from when the manager starts it until ctx ends.
func (m *Metrics) leads() manager.RunnableFunc {
	return func(ctx context.Context) error {
		if m != nil {
			m.leading.Set(1)
			defer m.leading.Set(0)
		}
		<-ctx.Done()
		return nil
	}
}

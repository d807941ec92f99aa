package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count the answers of the pod webhook. A nil *Metrics counts nothing.
type Metrics struct {
	pods    *prometheus.CounterVec   // by outcome and reason
	seconds *prometheus.HistogramVec // by outcome
	panics  prometheus.Counter
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spiderpool_admission_pods_total",
			Help: "Pods that the admission webhook answered, by outcome (assigned, left_alone, refused, waiting with the scheduling gate, " +
				"unassigned without it) and, where no address was given, the reason. A dry run counts too.",
		}, []string{"outcome", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "spiderpool_admission_duration_seconds",
			Help:    "How long the admission webhook took to answer for a pod, by outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 4, 5},
		}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "spiderpool_admission_panics_total",
			Help: "Panics that the admission webhook caught; each admitted its pod without an address. Any is a defect.",
		}),
	}
	r.MustRegister(m.pods, m.seconds, m.panics)
	return m
}

func (m *Metrics) answered(a answer, took time.Duration) {
	if m != nil {
		m.pods.WithLabelValues(string(a.outcome), a.reason).Inc()
		m.seconds.WithLabelValues(string(a.outcome)).Observe(took.Seconds())
	}
}

func (m *Metrics) panicked() {
	if m != nil {
		m.panics.Inc()
	}
}

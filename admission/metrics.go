package admission

import "github.com/prometheus/client_golang/prometheus"

// outcome of the admission of a pod.
type outcome string

const (
	outcomeAssigned  outcome = "assigned"   // it carries its addresses
	outcomeLeftAlone outcome = "left_alone" // none of ours
	outcomeRefused   outcome = "refused"    // something to mend in the pod, its namespace or the pools
	outcomeNoAddress outcome = "no_address" // pools full or not Ready
	outcomeFailed    outcome = "failed"     // for an internal reason
)

// Metrics count what the webhooks answer. A nil *Metrics counts nothing.
type Metrics struct {
	pods *prometheus.CounterVec // by outcome
}

// NewMetrics returns metrics that r knows.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{pods: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spiderpool_admission_pods_total",
		Help: "Pods that the admission webhook answered, by outcome. A dry run counts too.",
	}, []string{"outcome"})}
	r.MustRegister(m.pods)
	return m
}

func (m *Metrics) count(o outcome) {
	if m != nil {
		m.pods.WithLabelValues(string(o)).Inc()
	}
}

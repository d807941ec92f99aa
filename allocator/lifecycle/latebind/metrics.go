package latebind

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count pending pods and the results of binding them. The methods do nothing on nil.
type Metrics struct {
	waiting      *waitingMetrics
	lateBindings *prometheus.CounterVec
}

// NewMetrics creates and registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		waiting: &waitingMetrics{now: time.Now},
		lateBindings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spiderpool_late_bindings_total",
			Help: "Tries to give a pod that waits its addresses by result: bound, refused by a pool, changed or gone meanwhile, denied by who admits writes to pods, or failed.",
		}, []string{"result"}),
	}
	r.MustRegister(m.waiting, m.lateBindings)
	return m
}

// Results of an attempt to bind a pod.
const (
	resultBound   = "bound"
	resultRefused = "refused"
	resultChanged = "changed" // the pod has changed meanwhile
	resultGone    = "gone"
	resultDenied  = "denied" // something refuses the write to the pod
	resultFailed  = "failed"
)

func (m *Metrics) lateBinding(result string) {
	if m != nil {
		m.lateBindings.WithLabelValues(result).Inc()
	}
}

// waitSince is one pending pod.
type waitSince struct {
	reason string
	since  time.Time
}

// waits replaces the list of pending pods.
func (m *Metrics) waits(all []waitSince) {
	if m == nil {
		return
	}
	m.waiting.mu.Lock()
	defer m.waiting.mu.Unlock()
	m.waiting.all = all
}

// waitingMetrics are computed at collection, since the age of the oldest pending pod grows without
// any event.
type waitingMetrics struct {
	now func() time.Time

	mu  sync.Mutex
	all []waitSince
}

var _ prometheus.Collector = (*waitingMetrics)(nil)

var (
	waitingPods = prometheus.NewDesc("spiderpool_waiting_pods",
		"Pods that wait for addresses, by the reason that their condition AddressAssigned gives.", []string{"reason"}, nil)
	waitingOldest = prometheus.NewDesc("spiderpool_waiting_oldest_seconds",
		"How long ago the oldest pod that waits for addresses was created, by reason.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (w *waitingMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- waitingPods
	ch <- waitingOldest
}

// Collect implements prometheus.Collector.
func (w *waitingMetrics) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	count, oldest := map[string]int{}, map[string]time.Duration{}
	for _, p := range w.all {
		count[p.reason]++
		oldest[p.reason] = max(oldest[p.reason], now.Sub(p.since))
	}
	for reason, n := range count {
		ch <- prometheus.MustNewConstMetric(waitingPods, prometheus.GaugeValue, float64(n), reason)
		ch <- prometheus.MustNewConstMetric(waitingOldest, prometheus.GaugeValue, oldest[reason].Seconds(), reason)
	}
}

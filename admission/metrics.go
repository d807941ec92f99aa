package admission

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Outcomes of the admission of a pod.
const (
	outcomeAssigned  = "assigned"   // it carries its addresses
	outcomeLeftAlone = "left_alone" // none of ours
	outcomeRefused   = "refused"    // something to mend in the pod, its namespace or the pools
	outcomeNoAddress = "no_address" // pools full or not Ready
	outcomeFailed    = "failed"     // for an internal reason
)

var podsAdmitted = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "spiderpool_admission_pods_total",
	Help: "Pods that the admission webhook answered, by outcome. A dry run counts too.",
}, []string{"outcome"})

func init() { metrics.Registry.MustRegister(podsAdmitted) }

func count(outcome string) { podsAdmitted.WithLabelValues(outcome).Inc() }

package selection

import (
	"iter"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/admission/config"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

type poolMap map[string]*crdv1.SpiderIPPool // name -> pool

func (m poolMap) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	p, ok := m[name]
	return p, ok
}

func (m poolMap) All() iter.Seq[*crdv1.SpiderIPPool] { return maps.Values(m) }

// pool4 and pool6 return Ready pools; the changes make them what a test needs.
func pool4(name string, changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
	return pool(name, "10.1.0.0/16", changes)
}

func pool6(name string, changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
	return pool(name, "fd00::/64", changes)
}

func pool(name, subnet string, changes []func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
	p := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 3}, Spec: crdv1.IPPoolSpec{Subnet: subnet}}
	condition(metav1.ConditionTrue, crdv1.ReasonInitialised, "", 3)(p)
	for _, change := range changes {
		change(p)
	}
	return p
}

func condition(status metav1.ConditionStatus, reason, message string, generation int64) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) {
		p.Status.Conditions = []metav1.Condition{{
			Type: crdv1.ConditionReady, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
		}}
	}
}

func unjudged(p *crdv1.SpiderIPPool) { p.Status.Conditions = nil }

func disabled(p *crdv1.SpiderIPPool) { p.Spec.Disable = new(true) }

func isDefault(p *crdv1.SpiderIPPool) { p.Spec.Default = new(true) }

func deleted(p *crdv1.SpiderIPPool) {
	p.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
}

func onVlan(v int64) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Spec.Vlan = &v }
}

func counted(total, taken int64) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Status.TotalIPCount, p.Status.AllocatedIPCount = &total, &taken }
}

func spec(change func(*crdv1.IPPoolSpec)) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { change(&p.Spec) }
}

// snapshot returns a pod without annotations in namespace "team-a" with the given pools.
func snapshot(pools ...*crdv1.SpiderIPPool) Snapshot {
	m := poolMap{}
	for _, p := range pools {
		m[p.Name] = p
	}
	return Snapshot{
		Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Annotations: map[string]string{}, Labels: map[string]string{"app": "web"}}},
		Namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "team-a", Annotations: map[string]string{}, Labels: map[string]string{"team": "a"},
		}},
		Config: config.Default(),
		Pools:  m,
	}
}

func (s Snapshot) pod(key, value string) Snapshot {
	s.Pod.Annotations[key] = value
	return s
}

func (s Snapshot) namespace(key, value string) Snapshot {
	s.Namespace.Annotations[key] = value
	return s
}

func (s Snapshot) configured(change func(*config.Config)) Snapshot {
	change(&s.Config)
	return s
}

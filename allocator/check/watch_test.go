package check

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWatchFindsADoubleThatLastsAnInstant(t *testing.T) {
	t.Parallel()
	one, other := pod("one", tokenA, assigned("blue", "10.0.0.1")), pod("other", tokenB, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&one)
	d.see(&other)
	d.forget(other.UID)
	if len(d.found) != 1 || d.found[0].Rule != RuleDouble {
		t.Errorf("found %v, want one double", d.found)
	}
}

func TestWatchLetsAnAddressGoOnWithTheEndOfItsPod(t *testing.T) {
	t.Parallel()
	first, second, third := pod("first", tokenA, assigned("blue", "10.0.0.1")), pod("second", tokenB, assigned("blue", "10.0.0.1")),
		pod("third", tokenA, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&first)
	first.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} // it still runs
	d.see(&first)
	first.Status.Phase = corev1.PodSucceeded
	d.see(&first)
	d.see(&second)
	d.forget(second.UID)
	d.see(&third)
	if len(d.found) != 0 {
		t.Errorf("found %v, want nothing", d.found)
	}
	if len(d.holders) != 1 || len(d.addresses) != 1 {
		t.Errorf("remembers %d addresses of %d pods, want one of one", len(d.holders), len(d.addresses))
	}
}

func TestWatchSeesAnAnnotationThatComesLate(t *testing.T) {
	t.Parallel()
	bare, other := pod("bare", ""), pod("other", tokenB, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&bare)
	d.see(&other)
	bound := pod("bare", tokenA, assigned("blue", "10.0.0.1"))
	d.see(&bound)
	d.see(&bound) // the same state again is not another double
	if len(d.found) != 1 {
		t.Errorf("found %v, want one double", d.found)
	}
}

func TestWatchFindsAPodThatRunsWithWhatAnotherCarries(t *testing.T) {
	t.Parallel()
	one, other := pod("one", tokenA, assigned("blue", "10.0.0.1")), pod("other", "")
	d := newDoubles()
	d.see(&one)
	d.see(&other)
	one.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
	d.see(&one) // a pod may run with what it claims
	other.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
	d.see(&other)
	if len(d.found) != 1 || d.found[0].Rule != RuleDouble {
		t.Errorf("found %v, want one double", d.found)
	}
}

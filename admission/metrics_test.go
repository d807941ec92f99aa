package admission

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAnswersAreMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		w := newWorld().pools(pool("a", "10.1.0.0/16"))
		w.metrics = NewMetrics(registry)
		w.reserver.fail = func(attempt int) error {
			if attempt == 1 {
				return nil
			}
			time.Sleep(3 * time.Second)
			panic("no record")
		}
		hook := w.webhook(t)
		for range 2 {
			if response := hook.Handle(t.Context(), create(t, pod4())); !response.Allowed {
				t.Fatalf("answered %+v", response)
			}
		}
		synctest.Wait()
		histogram := func(outcome string, seconds float64, least int) string {
			lines := ""
			for _, le := range []string{"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2", "4", "5", "+Inf"} {
				count := 1
				if least > 0 && len(le) > 0 && le != "4" && le != "5" && le != "+Inf" {
					count = 0
				}
				lines += fmt.Sprintf("spiderpool_admission_duration_seconds_bucket{outcome=%q,le=%q} %d\n", outcome, le, count)
			}
			return lines + fmt.Sprintf("spiderpool_admission_duration_seconds_sum{outcome=%q} %v\nspiderpool_admission_duration_seconds_count{outcome=%q} 1\n",
				outcome, seconds, outcome)
		}
		want := `
			# HELP spiderpool_admission_pods_total Pods that the admission webhook answered, by outcome (assigned, left_alone, refused, waiting with the scheduling gate, unassigned without it) and, where no address was given, the reason. A dry run counts too.
			# TYPE spiderpool_admission_pods_total counter
			spiderpool_admission_pods_total{outcome="assigned",reason=""} 1
			spiderpool_admission_pods_total{outcome="waiting",reason="InternalError"} 1
			# HELP spiderpool_admission_panics_total Panics that the admission webhook caught; each admitted its pod without an address. Any is a defect.
			# TYPE spiderpool_admission_panics_total counter
			spiderpool_admission_panics_total 1
			# HELP spiderpool_admission_duration_seconds How long the admission webhook took to answer for a pod, by outcome.
			# TYPE spiderpool_admission_duration_seconds histogram
			` + histogram("assigned", 0, 0) + histogram("waiting", 3, 3)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

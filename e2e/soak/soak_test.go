package soak_test

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/soak"
)

// Two minutes of what make soak runs for longer.
func TestSoak(t *testing.T) {
	log.SetLogger(logr.Discard()) // of the stand-in
	seed := behaviours.Seed(t)
	dir, err := os.MkdirTemp("", "soak-") //nolint:usetesting // it is kept after a failure
	if err != nil {
		t.Fatal(err)
	}
	report, err := soak.Run(t.Context(), soak.Options{Duration: 2 * time.Minute, Seed: seed, Dir: dir, Out: writer{t}})
	t.Log(report)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		t.Fatalf("%v; the controllers' logs are in %s", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// writer logs to a test what is written.
type writer struct{ t *testing.T }

var _ io.Writer = writer{}

func (w writer) Write(text []byte) (int, error) {
	w.t.Logf("%s", text)
	return len(text), nil
}

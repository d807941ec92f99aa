package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// never is the longest that a test waits for something that should happen at once.
const never = 20 * time.Second

func startShell(t *testing.T, script string) *Process {
	t.Helper()
	dir := t.TempDir()
	p, err := Start(Here, Spec{
		Name:   "shell",
		Path:   "/bin/sh",
		Args:   []string{"-c", script},
		Env:    []string{"PATH=/usr/bin:/bin"},
		Log:    filepath.Join(dir, "log"),
		Record: filepath.Join(dir, "record"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(context.Background()) }) // its error was reported already
	return p
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), never)
	t.Cleanup(cancel)
	return ctx
}

func TestStopEndsAProcessThatReacts(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	if !p.Alive() {
		t.Fatal("not alive after its start")
	}
	if err := p.Stop(bounded(t), never); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("alive after Stop")
	}
}

func TestStopKillsAProcessThatDoesNotReact(t *testing.T) {
	t.Parallel()
	p := startShell(t, `trap "" TERM; echo deaf; exec sleep 1000`)
	waitForLog(t, p, "deaf")
	if err := p.Stop(bounded(t), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("alive after Stop")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Record().Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestRecordOfAnotherProcessWithTheSameIDIsGone(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	for name, change := range map[string]func(*Record){
		"another start": func(r *Record) { r.Start++ },
		"another boot":  func(r *Record) { r.Boot = "another" },
	} {
		r := p.Record()
		change(&r)
		if r.Alive() {
			t.Errorf("%s: alive", name)
		}
		if err := r.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) {
			t.Errorf("%s: signal: got %v, want %v", name, err, ErrGone)
		}
	}
	if !p.Alive() {
		t.Error("the process was hit by a signal for another")
	}
}

func TestAttachFindsTheProcessByItsRecord(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	q, err := Attach(Here, p.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if q.Record() != p.Record() {
		t.Errorf("got %v, want %v", q.Record(), p.Record())
	}
	if err := q.Kill(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err == nil {
		t.Error("alive after the attached one was killed")
	}
}

func TestRestartRunsItAgainAndRefusesWhileItRuns(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	first := p.Record()
	if err := p.Restart(); err == nil {
		t.Error("restarted while it runs")
	}
	if err := p.Kill(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() || p.Record() == first {
		t.Errorf("alive %v, record %v, first %v", p.Alive(), p.Record(), first)
	}
	saved, err := Load(p.Spec.Record)
	if err != nil || saved != p.Record() {
		t.Errorf("saved %v (%v), want %v", saved, err, p.Record())
	}
}

func TestPauseStopsTheProcess(t *testing.T) {
	t.Parallel()
	p := startShell(t, "exec sleep 1000")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, p, "T")
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, p, "S")
}

func TestCheckShowsTheEndOfTheLog(t *testing.T) {
	t.Parallel()
	p := startShell(t, "echo out of luck")
	if err := p.Record().Wait(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v, want the log's words", err)
	}
}

func waitForLog(t *testing.T, p *Process, text string) {
	t.Helper()
	waitFor(t, func() bool {
		data, err := os.ReadFile(p.Spec.Log)
		return err == nil && strings.Contains(string(data), text)
	})
}

func waitForState(t *testing.T, p *Process, state string) {
	t.Helper()
	waitFor(t, func() bool {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(p.Record().PID) + "/stat")
		return err == nil && strings.Contains(string(data), ") "+state+" ")
	})
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ctx := bounded(t)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("the condition never held")
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// never is the longest that a test waits for something that takes a second.
const never = 30 * time.Second

// start has a supervisor run a shell that does not exit by itself.
func start(t *testing.T) *process.Process {
	t.Helper()
	dir := t.TempDir()
	program, err := component.Own(t.Context(), "e2e/cluster/cmd/supervise", dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Here, process.Spec{
		Name: "supervisor", Path: program, Args: []string{"/bin/sh", "-c", "exec sleep 1000"},
		Env: []string{"PATH=/usr/bin:/bin"},
		Log: filepath.Join(dir, "log"), Record: filepath.Join(dir, "record"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(context.Background()) }) // its error was reported already
	return p
}

// children returns which processes the supervisor has started, the latest last, once there are n.
func children(t *testing.T, p *process.Process, n int) []process.Record {
	t.Helper()
	var started []int
	await(t, func() bool {
		data, err := os.ReadFile(p.Spec.Log)
		if err != nil {
			t.Fatal(err)
		}
		started = nil
		for text := range strings.Lines(string(data)) {
			var line struct {
				PID int `json:"pid"`
			}
			if !strings.HasSuffix(text, "\n") {
				break // the last line is not complete yet
			}
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if line.PID > 0 {
				started = append(started, line.PID)
			}
		}
		return len(started) == n
	})
	var records []process.Record
	for _, pid := range started {
		record, err := process.Identify(pid)
		if err == nil {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		t.Fatalf("none of %v runs", started)
	}
	return records
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	timeout := time.After(never)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatal("the condition never held")
		}
	}
}

func TestAKilledProgramIsRestarted(t *testing.T) {
	t.Parallel()
	p := start(t)
	first := children(t, p, 1)[0]
	if err := first.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := children(t, p, 2)
	if slices.Contains(again, first) || !again[len(again)-1].Alive() {
		t.Errorf("after the end of %v these run: %v", first, again)
	}
	if log, err := os.ReadFile(p.Spec.Log); err != nil || !strings.Contains(string(log), "signal: killed") {
		t.Errorf("the log (%v) does not say how the program ended:\n%s", err, log)
	}
}

func TestNothingOutlivesTheSupervisor(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*process.Process) error{
		"asked to end": func(p *process.Process) error { return p.Record().Signal(syscall.SIGTERM) },
		"killed":       func(p *process.Process) error { return p.Record().Signal(syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			child := children(t, p, 1)[0]
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			await(t, func() bool { return !p.Alive() && !child.Alive() })
		})
	}
}

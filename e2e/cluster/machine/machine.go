package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Machine is a machine that runs or ran.
type Machine struct {
	Spec   Spec
	record process.Record
	reaped chan struct{} // closed when our child has been reaped; nil when it is not our child
}

// Start starts a machine with the program cmd/machine. The door is a listener of this computer; the
// machine forwards its connections to Upstream. It may be nil. Start MUST be called as root.
func Start(ctx context.Context, program string, spec Spec, door *net.TCPListener) (*Machine, error) {
	m, err := start(ctx, program, spec, door)
	if err != nil {
		return nil, fmt.Errorf("starting machine %q: %w", spec.Name, err)
	}
	return m, nil
}

func start(ctx context.Context, program string, spec Spec, door *net.TCPListener) (*Machine, error) {
	if err := writeSpec(spec); err != nil {
		return nil, err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	files := []*os.File{theirs}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if door != nil {
		file, err := door.File()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	log, err := os.Create(spec.logFile())
	if err != nil {
		return nil, err
	}
	files = append(files, log)
	cmd := exec.Command(program, spec.specFile()) //nolint:noctx // it outlives the context of its start
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stderr = log
	cmd.ExtraFiles = files[:len(files)-1]
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS,
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &Machine{Spec: spec, reaped: make(chan struct{})}
	go func() {
		defer close(m.reaped)
		cmd.Wait() //nolint:errcheck // reaps; its log says how it ended
	}()
	theirs.Close() // or the end of the machine would not end the reading
	return m, m.await(ctx, ready)
}

func writeSpec(spec Spec) error {
	if err := os.MkdirAll(spec.Dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(spec.specFile(), data, 0o644)
}

// await reads the machine's one line and its record.
func (m *Machine) await(ctx context.Context, ready *os.File) error {
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	line, err := io.ReadAll(ready)
	if ctx.Err() != nil {
		return context.Cause(ctx) // closing our end makes it give up
	}
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(line)); said != Ready {
		return fmt.Errorf("it says %q; see %s", said, m.Spec.logFile())
	}
	m.record, err = process.Load(m.Spec.RecordFile())
	return err
}

// Attach returns the machine that was started in a folder, running or not. A folder without a
// machine gives process.ErrGone.
func Attach(dir string) (*Machine, error) {
	m := &Machine{Spec: Spec{Dir: dir}}
	data, err := os.ReadFile(m.Spec.specFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, process.ErrGone
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &m.Spec); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, "machine.json"), err)
	}
	m.record, err = process.Load(m.Spec.RecordFile())
	if err != nil && !errors.Is(err, process.ErrGone) {
		return nil, err
	}
	return m, nil
}

// PID is that of the first process, for nsenter.
func (m *Machine) PID() int { return m.record.PID }

// Alive reports whether the machine runs.
func (m *Machine) Alive() bool { return m.record.Alive() }

// Kill pulls the plug and waits until every process of the machine has gone.
func (m *Machine) Kill(ctx context.Context) error {
	if err := m.record.Kill(ctx); err != nil {
		return fmt.Errorf("killing machine %q: %w", m.Spec.Name, err)
	}
	if m.reaped == nil {
		return nil
	}
	select {
	case <-m.reaped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of machine %q: %w", m.Spec.Name, context.Cause(ctx))
	}
}

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Spec says how to start a program.
type Spec struct {
	Name    string   `json:"name"` // for messages
	Path    string   `json:"path"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`     // the whole environment; nothing is inherited
	Log     string   `json:"log"`     // both outputs are appended here
	Record  string   `json:"record"`  // where the Record is kept; may be empty
	Survive bool     `json:"survive"` // outlives the process that starts it
}

// Place starts a process where it belongs: here, or in a machine. The command is complete
// otherwise. A place that is not here leaves Pdeathsig unset.
type Place func(*exec.Cmd) (Child, error)

// Child is a process that has just been started.
type Child struct {
	Record Record
	Wait   func() // returns once the process has been reaped
}

// Here is the place where this process is.
func Here(cmd *exec.Cmd) (Child, error) {
	if err := cmd.Start(); err != nil {
		return Child{}, err
	}
	wait := func() { cmd.Wait() } //nolint:errcheck // its log says how it ended
	// Before Wait, which frees the PID.
	record, err := Identify(cmd.Process.Pid)
	if err != nil {
		wait()
	}
	return Child{record, wait}, err
}

// Process is a program that was started, here or by an earlier process.
type Process struct {
	Spec  Spec
	place Place

	mu     sync.Mutex
	record Record
	done   chan struct{} // closed when our child has been reaped; nil when it is not our child
}

// Start starts a program at a place.
func Start(place Place, spec Spec) (*Process, error) {
	p := &Process{Spec: spec, place: place}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.startLocked()
}

// Attach returns the process that an earlier process started with this spec. It may have ended
// since.
func Attach(place Place, spec Spec) (*Process, error) {
	record, err := Load(spec.Record)
	if err != nil && !errors.Is(err, ErrGone) {
		return nil, err
	}
	return &Process{Spec: spec, place: place, record: record}, nil
}

func (p *Process) startLocked() error {
	log, err := os.OpenFile(p.Spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Spec.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Spec.Path, p.Spec.Args...) //nolint:noctx // it outlives the context of its start
	cmd.Env = p.Spec.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own, so that the terminal's Ctrl-C does not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !p.Spec.Survive {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		// The kernel sends Pdeathsig when the thread that started the child ends, so that thread
		// stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		child, err := p.place(cmd)
		if err == nil {
			err = p.recordLocked(child.Record)
		}
		started <- err
		if child.Wait != nil {
			child.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", p.Spec.Name, err)
	}
	p.done = done
	return nil
}

func (p *Process) recordLocked(record Record) error {
	p.record = record
	if p.Spec.Record == "" {
		return nil
	}
	return record.Save(p.Spec.Record)
}

// Record returns the record of the current process.
func (p *Process) Record() Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record
}

// Alive reports whether it runs; paused counts as running.
func (p *Process) Alive() bool { return p.Record().Alive() }

// Pause stops it until Resume, as on a machine under heavy load.
func (p *Process) Pause() error { return p.Record().Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.Record().Signal(syscall.SIGCONT) }

// Stop asks it to exit, kills it after the grace, and waits until it has gone.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if err := p.Record().Stop(ctx, grace); err != nil {
		return fmt.Errorf("stopping %s: %w", p.Spec.Name, err)
	}
	return p.reaped(ctx)
}

// Kill kills it, as a crash would, and waits until it has gone.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Record().Kill(ctx); err != nil {
		return fmt.Errorf("killing %s: %w", p.Spec.Name, err)
	}
	return p.reaped(ctx)
}

// reaped waits until it has been reaped. A child of another process has to be reaped by that one.
func (p *Process) reaped(ctx context.Context) error {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Restart starts it again as it was started first. It must have ended.
func (p *Process) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record.Alive() {
		return fmt.Errorf("starting %s again: it still runs as process %d", p.Spec.Name, p.record.PID)
	}
	return p.startLocked()
}

// Check returns an error that ends with the log's last lines if it has ended.
func (p *Process) Check() error {
	if p.Alive() {
		return nil
	}
	return fmt.Errorf("%s has ended; %s", p.Spec.Name, p.logTail())
}

// logTail returns the end of the log for an error message.
func (p *Process) logTail() string {
	const size = 2000
	file, err := os.Open(p.Spec.Log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > size {
		file.Seek(-size, io.SeekEnd) //nolint:errcheck // at worst the message is longer
	}
	data, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("its log %s ends with:\n%s", p.Spec.Log, data)
}

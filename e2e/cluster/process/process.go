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
	Name    string   `json:"name"` // for people and messages
	Path    string   `json:"path"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`     // the whole environment; nothing is inherited
	Log     string   `json:"log"`     // both outputs are appended here
	Record  string   `json:"record"`  // where the Record is kept; may be empty
	Survive bool     `json:"survive"` // outlives the process that starts it
}

// Place brings a process to life where it belongs: here, or in a machine. The
// command is complete but for that. A place that is not here leaves Pdeathsig
// unset.
type Place func(*exec.Cmd) (Child, error)

// Child is a process that has just been started.
type Child struct {
	Record Record
	Wait   func() // returns once nothing is left of it
}

// Here is the place where this process is.
func Here(cmd *exec.Cmd) (Child, error) {
	if err := cmd.Start(); err != nil {
		return Child{}, err
	}
	wait := func() { cmd.Wait() } //nolint:errcheck // how it ended is told by its log
	// Before Wait, which gives the id free.
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

// Attach returns the process that an earlier process started by this spec. It
// may have ended since.
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
	// A session of its own: the terminal's Ctrl-C is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !p.Spec.Survive {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		// The kernel sends Pdeathsig when the thread ends that started the
		// child, so that thread stays with it to its end.
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

// Record returns which process it is now.
func (p *Process) Record() Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record
}

// Alive reports whether it runs; paused counts as running.
func (p *Process) Alive() bool { return p.Record().Alive() }

// Pause makes it stand still until Resume, as a machine under heavy load does.
func (p *Process) Pause() error { return p.Record().Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.Record().Signal(syscall.SIGCONT) }

// Stop asks it to end, makes it after the grace, and waits until it has gone.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if err := p.Record().Stop(ctx, grace); err != nil {
		return fmt.Errorf("stopping %s: %w", p.Spec.Name, err)
	}
	return p.reaped(ctx)
}

// Kill ends it without asking, as a crash does, and waits until it has gone.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Record().Kill(ctx); err != nil {
		return fmt.Errorf("killing %s: %w", p.Spec.Name, err)
	}
	return p.reaped(ctx)
}

// reaped waits until nothing is left of it, not even a zombie. A child of
// another process is that one's to reap.
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

// Restart starts it again the way it was started first. It must have ended.
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

package machine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// start starts a machine that sees this computer's files.
func start(t *testing.T, spec machine.Spec, door *net.TCPListener) *machine.Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("machines need root: run this test under sudo, or run make unit")
	}
	program, err := component.Own(bounded(t), "e2e/cluster/cmd/machine", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	spec.Name, spec.Dir = "testee", t.TempDir()
	m, err := machine.Start(bounded(t), program, spec, door)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func shell(t *testing.T, m *machine.Machine, script string) string {
	t.Helper()
	output, err := m.Output(bounded(t), "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

func TestMachineHasNameProcessesAndInterfacesOfItsOwn(t *testing.T) {
	t.Parallel()
	m := start(t, machine.Spec{}, nil)
	if got := shell(t, m, "cat /proc/sys/kernel/hostname"); got != "testee" {
		t.Errorf("host name: got %q", got)
	}
	if got := shell(t, m, "cat /proc/1/comm"); got != "machine" {
		t.Errorf("first process: got %q", got)
	}
	if got := shell(t, m, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"); !strings.Contains(got, "lo") || strings.Contains(got, "eth") {
		t.Errorf("interfaces: got %q", got)
	}
}

func TestKillEndsWhatWasLeftRunning(t *testing.T) {
	t.Parallel()
	m := start(t, machine.Spec{}, nil)
	// It is started in the background, and its parent exits at once, like a container's shim.
	file := filepath.Join(t.TempDir(), "orphan")
	shell(t, m, "(setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >"+file+")")
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inside := strings.TrimSpace(string(pid))
	// The shell prints the PID as soon as it has forked: wait until the child has executed the
	// program.
	shell(t, m, "until grep -q sleep /proc/"+inside+"/comm; do sleep 0.01; done")
	mounts := func() string { return readFile(t, "/proc/self/mountinfo") }
	before := mounts()
	dir := t.TempDir()
	shell(t, m, "mount -t tmpfs mark "+dir)
	if after := mounts(); after != before {
		t.Errorf("a mount made in the machine is seen outside:\n%s", after)
	}
	if err := m.Kill(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if m.Alive() {
		t.Error("alive after Kill")
	}
	if err := m.Inside(func() error { return nil }); !errors.Is(err, process.ErrGone) {
		t.Errorf("entering a dead machine: got %v, want %v", err, process.ErrGone)
	}
}

func TestStartedProgramIsAChildOfTheMachine(t *testing.T) {
	t.Parallel()
	m := start(t, machine.Spec{}, nil)
	dir := t.TempDir()
	spec := process.Spec{
		Name: "shell", Path: "/bin/sh", Args: []string{"-c", "echo $PPID $1 $WORD; exec sleep 1000", "sh", "argument"},
		Env: []string{"PATH=" + machine.SystemPath, "WORD=word"},
		Log: filepath.Join(dir, "log"), Record: filepath.Join(dir, "record"),
	}
	p, err := m.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := shell(t, m, "until read line < "+spec.Log+"; do :; done; echo $line"); got != "1 argument word" {
		t.Errorf("parent, argument and environment: got %q", got)
	}
	if !p.Alive() {
		t.Error("not alive after its start")
	}
	// A process that has ended must not be kept as a zombie, or the machine could not end.
	if err := p.Kill(bounded(t)); err != nil {
		t.Fatal(err)
	}
	shell(t, m, "while grep -qs '(sleep)' /proc/[0-9]*/stat; do :; done")
	spec.Path = "/not/there"
	if _, err := m.Start(spec); err == nil || !strings.Contains(err.Error(), "/not/there") {
		t.Errorf("starting what is not there: got %v", err)
	}
}

func TestAttachKnowsTheMachineFromItsFolder(t *testing.T) {
	t.Parallel()
	m := start(t, machine.Spec{}, nil)
	again, err := machine.Attach(m.Spec.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.PID() != m.PID() || !again.Alive() {
		t.Errorf("got %d alive %v, want %d", again.PID(), again.Alive(), m.PID())
	}
	if _, err := machine.Attach(t.TempDir()); !errors.Is(err, process.ErrGone) {
		t.Errorf("an empty folder: got %v, want %v", err, process.ErrGone)
	}
}

func TestDoorLeadsInside(t *testing.T) {
	t.Parallel()
	door, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, machine.Spec{Upstream: "127.0.0.1:80"}, door)
	address := door.Addr().String()
	door.Close()
	shell(t, m, "ip link set lo up")
	var inside net.Listener
	err = m.InNetwork(func() (err error) {
		inside, err = net.Listen("tcp", "127.0.0.1:80")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	go func() {
		conn, err := inside.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn) // the other end checks what comes back
	}()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "echo"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "echo" {
		t.Errorf("got %q (%v), want what was sent", got, err)
	}
}

func TestMachineThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	program, err := component.Own(bounded(t), "e2e/cluster/cmd/machine", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	spec := machine.Spec{Name: "broken", Dir: t.TempDir(), Root: filepath.Join(t.TempDir(), "not there")}
	_, err = machine.Start(bounded(t), program, spec, nil)
	if err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("got %v, want the folder named", err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

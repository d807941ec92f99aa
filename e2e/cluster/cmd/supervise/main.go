// Command supervise runs a program and restarts it whenever it ends, until it is stopped itself:
//
//	supervise /path/to/program its arguments
//
// The program has our environment and our outputs. SIGTERM is passed on to it, and then we exit
// too; if we are killed, the kernel kills it. We log JSON objects to stderr.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/supervise"
)

// patience is how long the program may take to exit after SIGTERM.
const patience = 30 * time.Second

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: supervise program [argument...]")
		return 2
	}
	// The kernel sends Pdeathsig when the thread that started the child ends: this one never does.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("logger", "supervisor", "program", os.Args[1])
	supervise.Keep(ctx, log, func(ctx context.Context) error { return once(ctx, log, os.Args[1], os.Args[2:]...) })
	return 0
}

// once runs the program to its end.
func once(ctx context.Context, log *slog.Logger, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return err
	}
	log.Info("the program is started", "pid", cmd.Process.Pid)
	return cmd.Wait()
}

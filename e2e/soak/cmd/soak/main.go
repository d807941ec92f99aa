// Command soak creates and deletes pods while it injects faults, and reports whether an address was
// doubled or leaked.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/e2e/soak"
)

func main() { os.Exit(run()) }

func run() int {
	duration := flag.Duration("for", 10*time.Minute, "how long things are broken; coming to rest takes some minutes more")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "repeats another run, as far as it can be")
	flag.Parse()
	log.SetLogger(logr.Discard()) // of the stand-in
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	report, err := soak.Run(ctx, soak.Options{Duration: *duration, Seed: *seed, Dir: dir, Out: os.Stdout})
	if err == nil {
		fmt.Printf("soak: seed %d: %s\n", *seed, report)
		err = report.Err()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: seed %d: %v; the controllers' logs are in %s\n", *seed, err, dir)
		return 1
	}
	_ = os.RemoveAll(dir)
	return 0
}

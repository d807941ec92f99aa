// Command demo shows the first example of the documentation; see package demo.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/e2e/demo"
)

func main() { os.Exit(run()) }

func run() int {
	name := flag.String("name", "", "name of the cluster, for several side by side; empty for the one in .cluster")
	flag.Parse()
	log.SetLogger(logr.Discard()) // without a logger controller-runtime's clients print a stack; errors are returned
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo.Run(ctx, *name, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

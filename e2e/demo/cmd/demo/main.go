// Command demo shows the seed's first example; see package demo.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"spidernet.io/spiderpool/e2e/demo"
)

func main() { os.Exit(run()) }

func run() int {
	name := flag.String("name", "", "sets the cluster beside others; none for the one in .cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo.Run(ctx, *name, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

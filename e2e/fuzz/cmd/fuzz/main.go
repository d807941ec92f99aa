// Command fuzz runs every fuzz target of both modules.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/fuzz"
)

func main() { os.Exit(run()) }

func run() int {
	each := flag.Duration("each", 10*time.Second, "how long each target is run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := all(ctx, *each)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("fuzz: %d targets, %s each, found nothing\n", n, *each)
	return 0
}

func all(ctx context.Context, each time.Duration) (n int, err error) {
	root, err := component.Tree()
	if err != nil {
		return 0, err
	}
	for _, module := range []string{root, filepath.Join(root, "e2e")} {
		targets, err := fuzz.Targets(ctx, module)
		if err != nil {
			return n, err
		}
		if err := fuzz.Run(ctx, module, targets, each, os.Stdout); err != nil {
			return n, err
		}
		n += len(targets)
	}
	return n, nil
}

// Command verify checks the tree in the current directory.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/verify"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := component.Tree()
	if err == nil {
		err = verify.Run(ctx, root, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("verify: the tree is as it should be")
	return 0
}

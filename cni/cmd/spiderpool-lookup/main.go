// Command spiderpool-lookup reads a pod's annotations for the CNI plugin
// spiderpool, which starts it; package lookup describes it.
package main

import (
	"context"
	"fmt"
	"os"

	"spidernet.io/spiderpool/cni/lookup"
)

func main() { os.Exit(run()) }

func run() int {
	if err := lookup.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "spiderpool-lookup: %v\n", err)
		return 1
	}
	return 0
}

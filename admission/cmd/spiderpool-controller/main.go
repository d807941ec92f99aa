// Command spiderpool-controller serves the webhooks that give pods their addresses and, in the
// elected replica, settles, releases and expires them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() { os.Exit(run()) }

func run() int {
	options, err := parse(os.Args[1:])
	if errors.Is(err, errHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	setLogging(os.Stderr, options)
	ctx, stop := context.WithCancelCause(ctrl.SetupSignalHandler())
	defer stop(nil)
	if err := serve(ctx, stop, options); err != nil {
		log.Log.Error(err, "the controller stops")
		return 1
	}
	return 0
}

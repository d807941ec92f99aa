// Command kruise-standin creates pods as OpenKruise does, for the clusters of tests and the demo.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	"spidernet.io/spiderpool/e2e/kruise"
)

func main() { os.Exit(run()) }

func run() int {
	flags := flag.NewFlagSet("kruise-standin", flag.ContinueOnError) // the global set has controller-runtime's flags
	kubeconfig := flags.String("kubeconfig", "", "file that says how to reach the API server")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
	ctrl.SetLogger(log)
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintf(os.Stderr, "kruise-standin: reading %s: %v\n", *kubeconfig, err)
		return 1
	}
	err = kruise.Run(ctrl.SetupSignalHandler(), cfg, kruise.Options{Log: log}, func() { log.Info("making the pods of OpenKruise's kinds") })
	if err != nil {
		fmt.Fprintf(os.Stderr, "kruise-standin: %v\n", err)
		return 1
	}
	return 0
}

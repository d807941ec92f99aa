// Command spiderpool-installer puts the CNI plugin onto the node that it runs
// on and keeps its kubeconfig and token fresh; package install describes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"spidernet.io/spiderpool/cni/install"
)

// refreshPeriod is far below the ten minutes before the end of a token at which
// kubelet has renewed it.
const refreshPeriod = 30 * time.Second

func main() { os.Exit(run()) }

func run() int {
	config, once, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "spiderpool-installer: %v\n", err)
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	written, err := install.Apply(config)
	logOutcome(log, written, err)
	if err != nil {
		return 1 // visible as a failing pod, not as a line in a log
	}
	if once {
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(refreshPeriod)
	defer ticker.Stop()
	install.Stay(ctx, config, ticker.C, func(written []string, err error) { logOutcome(log, written, err) })
	return 0
}

func logOutcome(log *slog.Logger, written []string, err error) {
	for _, path := range written {
		log.Info("wrote file", "path", path)
	}
	if err != nil {
		log.Error("installing", "error", err)
	}
}

func parseFlags(args []string) (config install.Config, once bool, err error) {
	flags := flag.NewFlagSet("spiderpool-installer", flag.ContinueOnError)
	flags.StringVar(&config.SourceDir, "source-dir", ownFolder(), "folder with the binaries spiderpool and spiderpool-lookup")
	flags.StringVar(&config.BinDir, "cni-bin-dir", "/host/opt/cni/bin", "the runtime's folder of CNI plugins, as mounted here")
	flags.StringVar(&config.KubeconfigDir, "kubeconfig-dir", "/host/etc/cni/net.d/spiderpool",
		"folder for kubeconfig and token, as mounted here; empty for none")
	flags.StringVar(&config.KubeconfigDirOnHost, "kubeconfig-dir-on-host", "/etc/cni/net.d/spiderpool", "the same folder as the host sees it")
	flags.StringVar(&config.Server, "server", install.ServerFromEnv(os.Getenv), "URL of the API server as reached from the host")
	flags.StringVar(&config.ServiceAccountDir, "service-account-dir", "/var/run/secrets/kubernetes.io/serviceaccount",
		"folder with this pod's ca.crt and token")
	flags.BoolVar(&once, "once", false, "exit when everything is in place; otherwise stay and keep it fresh")
	if err := flags.Parse(args); err != nil {
		return config, once, err
	}
	if flags.NArg() > 0 {
		return config, once, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return config, once, config.Validate()
}

// ownFolder is where this binary lies; the others lie beside it in the image.
func ownFolder() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Dir(self)
}

// Command spiderpool-installer puts the CNI plugin onto the node that it runs on and keeps its
// kubeconfig and token fresh; package install describes it.
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

// refreshPeriod is far below the ten minutes before its end at which kubelet renews a token.
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
	written, err := install.Apply(config)
	report(written, err)
	if err != nil {
		return 1 // visible as a failing pod, not as a line in a log
	}
	if once {
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	install.Stay(ctx, config, time.Tick(refreshPeriod), report)
	return 0
}

func report(written []string, err error) {
	for _, path := range written {
		slog.Info("wrote file", "path", path)
	}
	if err != nil {
		slog.Error("installing", "error", err)
	}
}

func parseFlags(args []string) (config install.Config, once bool, err error) {
	self, _ := os.Executable() // the plugin is next to it in the image; Validate checks the rest
	flags := flag.NewFlagSet("spiderpool-installer", flag.ContinueOnError)
	flags.StringVar(&config.SourceDir, "source-dir", filepath.Dir(self), "folder with the binary spiderpool")
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

package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// options are the flags of the command: what the installation decides. What users configure is in
// the ConfigMap.
type options struct {
	kubeconfig           string
	namespace            string
	configMap            string
	webhookConfiguration string
	servingSecret        string
	servingHosts         []string
	webhookAddress       netip.AddrPort
	metricsAddress       string
	healthAddress        string
	lease                time.Duration
	verbosity            int
}

var errHelp = errors.New("help was asked for")

// parse reads the flags. On -help it prints the help and returns errHelp.
func parse(args []string) (options, error) {
	var o options
	var webhook, hosts string
	f := flag.NewFlagSet("spiderpool-controller", flag.ContinueOnError)
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; empty means the service account of the pod")
	f.StringVar(&o.namespace, "namespace", "spiderpool", "namespace of the configuration, the certificate and the election")
	f.StringVar(&o.configMap, "configmap", "spiderpool-conf", "ConfigMap that has the configuration under conf.yml")
	f.StringVar(&o.webhookConfiguration, "webhook-configuration", "spiderpool", "name of the two webhook configurations that get the CA")
	f.StringVar(&o.servingSecret, "serving-secret", "spiderpool-serving-cert", "Secret that keeps the serving certificate")
	f.StringVar(&hosts, "serving-hosts", "", "comma-separated DNS names and addresses that the API server reaches the webhooks by; empty means the Service and the address bound")
	f.StringVar(&webhook, "webhook-bind-address", "[::]:9443", "address and port of the webhooks")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":9090", "address and port of the metrics; 0 serves none")
	f.StringVar(&o.healthAddress, "health-bind-address", ":9440", "address and port of /healthz and /readyz; 0 serves none")
	f.DurationVar(&o.lease, "leader-election-lease-duration", 15*time.Second, "how long the others wait for a leader that is silent")
	f.IntVar(&o.verbosity, "v", 0, "verbosity of the log, 0 or 1")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, errHelp
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: the command takes flags only", f.Arg(0))
	}
	var err error
	if o.webhookAddress, err = netip.ParseAddrPort(webhook); err != nil {
		return o, fmt.Errorf("-webhook-bind-address: %w", err)
	}
	if o.lease < 3*time.Second {
		return o, fmt.Errorf("-leader-election-lease-duration: %s is too short: a leader renews five times in it", o.lease)
	}
	if o.verbosity != 0 && o.verbosity != 1 {
		return o, fmt.Errorf("-v: %d is neither 0 nor 1", o.verbosity)
	}
	o.servingHosts = o.hosts(hosts)
	if slices.Contains(o.servingHosts, "") {
		return o, fmt.Errorf("-serving-hosts: %q names an empty host", hosts)
	}
	return o, nil
}

// hosts returns the names that the serving certificate is for.
func (o options) hosts(given string) []string {
	if given != "" {
		list := strings.Split(given, ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list
	}
	service := "spiderpool-controller." + o.namespace + ".svc"
	list := []string{service, service + ".cluster.local"}
	if a := o.webhookAddress.Addr(); !a.IsUnspecified() {
		list = append(list, a.String())
	}
	return list
}

// split returns which of the hosts are addresses.
func split(hosts []string) (names []string, addresses []net.IP) {
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			addresses = append(addresses, a.AsSlice())
			continue
		}
		names = append(names, h)
	}
	return names, addresses
}

func (o options) level() zapcore.Level { return zapcore.Level(-o.verbosity) } // two values

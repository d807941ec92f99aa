package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a word that is no flag":  {[]string{"serve"}, `unexpected argument "serve"`},
		"an address without port": {[]string{"-webhook-bind-address", "10.0.0.1"}, "-webhook-bind-address: "},
		"a lease that is short":   {[]string{"-leader-election-lease-duration", "1s"}, "1s is too short"},
		"a verbosity of klog's":   {[]string{"-v", "4"}, "4 is neither 0 nor 1"},
		"an empty host":           {[]string{"-serving-hosts", "a.example,"}, "empty host"},
		"an unknown flag":         {[]string{"-namespaces", "x"}, "-namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := parse([]string{"-h"}); !errors.Is(err, errHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestServingHosts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"the Service where every address is bound": {nil, []string{"spiderpool-controller.spiderpool.svc", "spiderpool-controller.spiderpool.svc.cluster.local"}},
		"the address that is bound too":            {[]string{"-namespace", "ns", "-webhook-bind-address", "[fc00::1]:9443"}, []string{"spiderpool-controller.ns.svc", "spiderpool-controller.ns.svc.cluster.local", "fc00::1"}},
		"those given alone":                        {[]string{"-serving-hosts", "a.example,10.0.0.1"}, []string{"a.example", "10.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(c.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, o.servingHosts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			names, addresses := split(o.servingHosts)
			if len(names)+len(addresses) != len(c.want) {
				t.Errorf("split into %v and %v", names, addresses)
			}
		})
	}
}

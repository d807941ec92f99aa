package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed assign-net.yaml
var assignNetManifest []byte

// AssignNet proves: addresses of both families answer ping and carry TCP from another node; the
// gateway answers and is the default route; the pools' routes are in place.
var AssignNet = behaviours.Behaviour{ID: "assign-net", Manifest: assignNetManifest, Test: assignNet}

func assignNet(t *testing.T, e *behaviours.Env) {
	server, client := awaitReady(t, e, "server"), awaitReady(t, e, "client")
	if server.Spec.NodeName == client.Spec.NodeName {
		t.Fatalf("both pods are on node %s", server.Spec.NodeName)
	}
	if len(server.Status.PodIPs) != 2 {
		t.Fatalf("the server has %v, want an address of each family", server.Status.PodIPs)
	}
	run := func(t *testing.T, command ...string) string {
		t.Helper()
		return e.Kubectl(t, append([]string{"exec", "-n", "assign-net", "client", "--"}, command...)...)
	}
	v4, v6 := server.Status.PodIPs[0].IP, server.Status.PodIPs[1].IP
	for _, address := range []string{v4, v6, "172.18.0.1", "fc00:f853:ccd:e793::1"} {
		t.Run("ping "+address, func(t *testing.T) { run(t, "ping", "-c", "3", "-W", "5", address) })
	}
	for _, address := range []string{v4, v6} {
		t.Run("TCP "+address, func(t *testing.T) {
			answer := run(t, "/bin/sh", "-c", `printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 10 "$0" 80`, address)
			if !strings.HasPrefix(answer, "HTTP/1.") || !strings.Contains(answer, "it is reached") {
				t.Errorf("it answers %q", answer)
			}
		})
	}
	for family, want := range map[string][]string{
		"-4": {"default via 172.18.0.1 dev eth0", "192.168.7.0/24 via 172.18.0.9 dev eth0"},
		"-6": {"default via fc00:f853:ccd:e793::1 dev eth0", "fc00:7::/64 via fc00:f853:ccd:e793::9 dev eth0"},
	} {
		t.Run("routes "+family, func(t *testing.T) {
			routes := slices.Collect(strings.Lines(run(t, "ip", family, "route")))
			for _, route := range want {
				if !slices.ContainsFunc(routes, func(r string) bool { return strings.HasPrefix(r, route) }) {
					t.Errorf("%q is not among %q", route, routes)
				}
			}
		})
	}
	e.DeleteAll(t, "assign-net")
}

func awaitReady(t *testing.T, e *behaviours.Env, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		pods, err := e.Pods(ctx, "assign-net")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("no pod %q", name)
		}
		pod = &pods[i]
		return behaviours.Ready(pod)
	})
	return pod
}

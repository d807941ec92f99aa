package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"spidernet.io/spiderpool/e2e/cluster/pki"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// kubeletClient is the API server's user name at the kubelets.
const kubeletClient = "kube-apiserver-kubelet-client"

// Files of the node's Kubernetes programs, as the node sees them.
const (
	kubeletConfig     = kubernetesDir + "/kubelet.yaml"
	kubeletKubeconfig = kubernetesDir + "/kubelet.kubeconfig"
	proxyConfig       = kubernetesDir + "/kube-proxy.yaml"
	proxyKubeconfig   = kubernetesDir + "/kube-proxy.kubeconfig"
	authorityFile     = kubernetesDir + "/ca.crt"
)

// kubelet returns how the node's kubelet is started.
func (n *Node) kubelet() process.Spec {
	return n.spec("kubelet", kubernetesBin,
		"--config="+kubeletConfig,
		"--kubeconfig="+kubeletKubeconfig,
		"--hostname-override="+n.Name,
		"--node-ip="+n.IPv4.String()+","+n.IPv6.String(),
	)
}

// kubeProxy returns how the node's kube-proxy is started.
func (n *Node) kubeProxy() process.Spec {
	return n.spec("kube-proxy", kubernetesBin, "--config="+proxyConfig)
}

// kubeletSettings are those of kubeadm's nodes, and what this kind of node needs: a cgroup of its
// own, and no eviction because the computer's disk is full.
func (n *Node) kubeletSettings() map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": authorityFile},
		},
		"authorization":               map[string]any{"mode": "Webhook"},
		"tlsCertFile":                 kubernetesDir + "/kubelet.crt",
		"tlsPrivateKeyFile":           kubernetesDir + "/kubelet.key",
		"containerRuntimeEndpoint":    "unix://" + containerdSocket,
		"clusterDNS":                  []string{"10.96.0.10"},
		"clusterDomain":               "cluster.local",
		"resolvConf":                  "/etc/resolv.conf",
		"staticPodPath":               staticPodDir,
		"cgroupDriver":                "cgroupfs",
		"cgroupRoot":                  n.cgroup(),
		"failCgroupV1":                false,
		"failSwapOn":                  false,
		"enforceNodeAllocatable":      []string{},
		"oomScoreAdj":                 0, // lowering it is not allowed everywhere
		"imageGCHighThresholdPercent": 100,
		"evictionHard": map[string]any{
			"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
	}
}

// proxySettings are kube-proxy's: it uses nftables, and does not change the computer's connection
// tracking.
func (n *Node) proxySettings() map[string]any {
	return map[string]any{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"mode":             "nftables",
		"hostnameOverride": n.Name,
		"clientConnection": map[string]any{"kubeconfig": proxyKubeconfig},
		"conntrack":        map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"oomScoreAdj":      0,
	}
}

// prepareKubernetes writes the node's settings and its identities: as the node itself, which the
// Node authorizer confines to its own objects, and as kube-proxy.
func (n *Node) prepareKubernetes(keys *issuer) error {
	inside := func(path string) string { return filepath.Join(n.Root(), path) }
	for path, settings := range map[string]map[string]any{kubeletConfig: n.kubeletSettings(), proxyConfig: n.proxySettings()} {
		data, err := yaml.Marshal(settings)
		if err != nil {
			return err
		}
		if err := os.WriteFile(inside(path), data, 0o644); err != nil {
			return err
		}
	}
	for path, data := range map[string][]byte{authorityFile: keys.kubernetes.Public, containerdConfig: []byte(runtimeConfig)} {
		if err := os.WriteFile(inside(path), data, 0o644); err != nil {
			return err
		}
	}
	user := pki.Subject{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"}}
	if err := keys.client(inside(kubeletKubeconfig), Server, user); err != nil {
		return err
	}
	if err := keys.client(inside(proxyKubeconfig), Server, pki.Subject{Name: proxyUser}); err != nil {
		return err
	}
	user.Hosts = []string{n.Name, n.IPv4.String(), n.IPv6.String(), "127.0.0.1"}
	serving, err := keys.kubernetes.Issue(user)
	if err != nil {
		return err
	}
	return serving.Save(inside(kubernetesDir), "kubelet")
}

// installNetwork writes the node's network configuration and the plugins that it has from the
// start.
func (n *Node) installNetwork() error {
	config, err := n.cluster.options.Network(n)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.CNIConfDir(), "10-cluster.conflist"), config, 0o644); err != nil {
		return err
	}
	stock := []string{"macvlan", "bridge", "host-local", "loopback"}
	for i, name := range stock {
		stock[i] = filepath.Join(n.cluster.tools.cni, name)
	}
	for _, file := range slices.Concat(stock, n.cluster.options.Plugins) {
		if err := n.InstallPlugin(file); err != nil {
			return fmt.Errorf("preparing the network of node %q: %w", n.Name, err)
		}
	}
	return nil
}

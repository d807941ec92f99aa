package cluster

import (
	"slices"

	"spidernet.io/spiderpool/e2e/cluster/pki"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// The users of the API server other than admin and nodes. Their rights come from the API server's
// own bootstrap roles.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	proxyUser             = "system:kube-proxy"
)

// controllerManager returns how the kube-controller-manager is started. Its controllers use service
// accounts of their own.
func (p plane) controllerManager() process.Spec {
	keys := p.keys
	config := keys.kubeconfig("controller-manager")
	args := []string{
		"--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
		"--use-service-account-credentials",
		"--root-ca-file=" + keys.file("ca.crt"),
		"--service-account-private-key-file=" + keys.file("service-accounts.key"),
		"--cluster-signing-cert-file=" + keys.file("ca.crt"),
		"--cluster-signing-key-file=" + keys.file("ca.key"),
		"--client-ca-file=" + keys.file("ca.crt"),
		"--leader-elect=false", // the only one: nothing to elect
		"--bind-address=127.0.0.1",
		"--secure-port=" + p.securePort("10257"),
	}
	return p.spec("kube-controller-manager", slices.Concat(args, p.managerFlags)...)
}

// scheduler returns how the kube-scheduler is started.
func (p plane) scheduler() process.Spec {
	config := p.keys.kubeconfig("scheduler")
	return p.spec("kube-scheduler",
		"--kubeconfig="+config,
		"--authentication-kubeconfig="+config,
		"--authorization-kubeconfig="+config,
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--secure-port="+p.securePort("10259"),
	)
}

// securePort disables the secure port where it would take a port of this computer.
func (p plane) securePort(port string) string {
	if p.advertise.IsValid() {
		return port
	}
	return "0"
}

// issueControllers issues the identities of the controller manager and the scheduler.
func (i *issuer) issueControllers(server string) error {
	for name, user := range map[string]string{"controller-manager": controllerManagerUser, "scheduler": schedulerUser} {
		if err := i.client(i.kubeconfig(name), server, pki.Subject{Name: user}); err != nil {
			return err
		}
	}
	return nil
}

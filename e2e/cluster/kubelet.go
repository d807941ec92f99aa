package cluster

// kubeletClient is who the API server is to the kubelets.
const kubeletClient = "kube-apiserver-kubelet-client"

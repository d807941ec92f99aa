package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderEndpoint shows what one pod was given. It is named like its pod, made once the pod has a
// node and deleted when its addresses are released. It is for people: nothing is released because
// of it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=spiderendpoints,scope=Namespaced,shortName=se,categories=spiderpool
// +kubebuilder:printcolumn:name="INTERFACE",type=string,JSONPath=`.status.current.ips[0].interface`,description="the first NIC"
// +kubebuilder:printcolumn:name="IPV4POOL",type=string,JSONPath=`.status.current.ips[0].ipv4Pool`,description="the pool of its IPv4 address"
// +kubebuilder:printcolumn:name="IPV4",type=string,JSONPath=`.status.current.ips[0].ipv4`,description="its IPv4 address"
// +kubebuilder:printcolumn:name="IPV6POOL",type=string,JSONPath=`.status.current.ips[0].ipv6Pool`,description="the pool of its IPv6 address"
// +kubebuilder:printcolumn:name="IPV6",type=string,JSONPath=`.status.current.ips[0].ipv6`,description="its IPv6 address"
// +kubebuilder:printcolumn:name="NODE",type=string,JSONPath=`.status.current.node`,description="the node of the pod"
type SpiderEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is what the pod was given.
	// +optional
	Status EndpointStatus `json:"status,omitempty"`
}

// SpiderEndpointList is a list of SpiderEndpoints.
//
// +kubebuilder:object:root=true
type SpiderEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderEndpoint `json:"items"`
}

// EndpointStatus is what a pod was given, and who made the pod.
type EndpointStatus struct {
	// Current is what the pod that now has the name was given.
	// +optional
	Current *EndpointAllocation `json:"current,omitempty"`

	// OwnerControllerType is the kind of the controller that owns the pod, whatever its group; Pod
	// where none does.
	// +optional
	OwnerControllerType string `json:"ownerControllerType,omitempty"`

	// OwnerControllerName is the name of that controller; the pod's own where there is none.
	// +optional
	OwnerControllerName string `json:"ownerControllerName,omitempty"`
}

// EndpointAllocation is what one pod was given on one node.
type EndpointAllocation struct {
	// UID of the pod.
	// +optional
	UID string `json:"uid,omitempty"`

	// ContainerID of the pod's sandbox, where it is known.
	// +optional
	ContainerID string `json:"containerID,omitempty"`

	// Node that the pod is bound to.
	// +optional
	Node string `json:"node,omitempty"`

	// IPs per NIC, the pod network's first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	IPs []EndpointIP `json:"ips,omitempty"`

	// TerminationGracePeriodSeconds of the pod: how long it may go on after it was told to end.
	// +optional
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// CreationTime of the pod.
	// +optional
	CreationTime *metav1.Time `json:"creationTime,omitempty"`
}

// EndpointIP is what a pod was given on one NIC.
type EndpointIP struct {
	// Interface is the name of the NIC inside of the pod.
	// +required
	Interface string `json:"interface"`

	// IPv4 is the address with its prefix length.
	// +optional
	IPv4 string `json:"ipv4,omitempty"`

	// IPv6 is the address with its prefix length.
	// +optional
	IPv6 string `json:"ipv6,omitempty"`

	// IPv4Pool is the pool of the IPv4 address.
	// +optional
	IPv4Pool string `json:"ipv4Pool,omitempty"`

	// IPv6Pool is the pool of the IPv6 address.
	// +optional
	IPv6Pool string `json:"ipv6Pool,omitempty"`

	// Vlan of the pools; 0 means none.
	// +optional
	Vlan int64 `json:"vlan,omitempty"`

	// IPv4Gateway is the IPv4 default gateway.
	// +optional
	IPv4Gateway string `json:"ipv4Gateway,omitempty"`

	// IPv6Gateway is the IPv6 default gateway.
	// +optional
	IPv6Gateway string `json:"ipv6Gateway,omitempty"`

	// CleanGateway means that the NIC gets no default route.
	// +optional
	CleanGateway bool `json:"cleanGateway,omitempty"`

	// Routes besides the default route.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Routes []Route `json:"routes,omitempty"`
}

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderSubnet is a set of addresses that pools are made from.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=spidersubnets,scope=Cluster,shortName=ss,categories=spiderpool
// +kubebuilder:printcolumn:name="VERSION",type=integer,JSONPath=`.spec.ipVersion`,description="4 or 6"
// +kubebuilder:printcolumn:name="SUBNET",type=string,JSONPath=`.spec.subnet`,description="the subnet that the addresses lie in"
// +kubebuilder:printcolumn:name="ALLOCATED-IP-COUNT",type=integer,JSONPath=`.status.allocatedIPCount`,description="addresses given to pools"
// +kubebuilder:printcolumn:name="TOTAL-IP-COUNT",type=integer,JSONPath=`.status.totalIPCount`,description="addresses that the subnet has"
type SpiderSubnet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec SubnetSpec `json:"spec"`

	// Status is the record of the addresses that pools were given. Only the controller writes it.
	// +optional
	Status SubnetStatus `json:"status,omitempty"`
}

// SpiderSubnetList is a list of SpiderSubnets.
//
// +kubebuilder:object:root=true
type SpiderSubnetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderSubnet `json:"items"`
}

// SubnetSpec describes the addresses of a subnet. Gateway, vlan and routes are those of the pools
// made from it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ipVersion) || !isCIDR(self.subnet) || cidr(self.subnet).ip().family() == self.ipVersion",fieldPath=".ipVersion",message="ipVersion differs from the family of subnet; set it to that family or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.ipVersion) || (has(self.ipVersion) && self.ipVersion == oldSelf.ipVersion)",fieldPath=".ipVersion",message="ipVersion is immutable; make another subnet instead"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !isCIDR(self.subnet) || !isIP(self.gateway) || cidr(self.subnet).containsIP(self.gateway)",fieldPath=".gateway",messageExpression="'gateway ' + self.gateway + ' lies outside of subnet ' + self.subnet"
type SubnetSpec struct {
	// IPVersion is 4 or 6. Unset means the family of subnet, and admission fills it in. Immutable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self in [4, 6]",message="must be 4 or 6"
	IPVersion *int64 `json:"ipVersion,omitempty"`

	// Subnet is the network that all addresses lie in, in canonical CIDR form. Immutable. Two
	// SpiderSubnets MUST NOT overlap.
	// +required
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="subnet is immutable; make another subnet instead"
	Subnet string `json:"subnet"`

	// IPs are the addresses that pools may be given: each entry is one address or an inclusive,
	// ordered range a-b, inside subnet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$')",messageExpression="(self.contains('/') ? 'is a CIDR' : self.contains(',') ? 'is several in one entry' : self.matches('[[:space:]]') ? 'has a blank' : 'is neither an address nor a range') + '; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50'"
	IPs []string `json:"ips,omitempty"`

	// ExcludeIPs are taken out of ips, in the same form.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$')",messageExpression="(self.contains('/') ? 'is a CIDR' : self.contains(',') ? 'is several in one entry' : self.matches('[[:space:]]') ? 'has a blank' : 'is neither an address nor a range') + '; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50'"
	ExcludeIPs []string `json:"excludeIPs,omitempty"`

	// Gateway is the gateway of the pools made from the subnet. It lies inside subnet and is never
	// handed out.
	// +optional
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1"
	Gateway *string `json:"gateway,omitempty"`

	// Vlan is the VLAN of the subnet, 0 to 4095; 0, the default, means none.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	Vlan *int64 `json:"vlan,omitempty"`

	// Routes are the routes of the pools made from the subnet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Routes []Route `json:"routes,omitempty"`

	// Default makes the subnet the cluster's default subnet of its family. Default false.
	// +optional
	Default *bool `json:"default,omitempty"`
}

// SubnetStatus is the record of a subnet.
type SubnetStatus struct {
	// TotalIPCount is the number of addresses of the subnet. It stops at 2^63-1.
	// +optional
	TotalIPCount *int64 `json:"totalIPCount,omitempty"`

	// AllocatedIPCount is the number of addresses given to pools, whether or not a pod has them.
	// +optional
	AllocatedIPCount *int64 `json:"allocatedIPCount,omitempty"`

	// Pools are the addresses that each pool was given.
	// +optional
	// +listType=atomic
	Pools []SubnetPool `json:"pools,omitempty"`

	// Conditions of the subnet.
	// +optional
	// +listType=atomic
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SubnetPool is what one pool was given of a subnet.
type SubnetPool struct {
	// Name of the SpiderIPPool.
	// +required
	Name string `json:"name"`

	// IPs are the addresses as ranges, as in the settled set of a pool.
	// +optional
	// +listType=atomic
	IPs []string `json:"ips,omitempty"`
}

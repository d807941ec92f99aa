package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderReservedIP names addresses that are never handed out from any pool or subnet, from the
// moment it exists. Those in use stay in use.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=spiderreservedips,scope=Cluster,shortName=sr,categories=spiderpool
// +kubebuilder:printcolumn:name="VERSION",type=integer,JSONPath=`.spec.ipVersion`,description="4 or 6"
type SpiderReservedIP struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec ReservedIPSpec `json:"spec"`
}

// SpiderReservedIPList is a list of SpiderReservedIPs.
//
// +kubebuilder:object:root=true
type SpiderReservedIPList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderReservedIP `json:"items"`
}

// ReservedIPSpec are the addresses, all of one family.
type ReservedIPSpec struct {
	// IPVersion is 4 or 6. Unset means the family of the first entry, and admission fills it in.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self in [4, 6]",message="must be 4 or 6"
	IPVersion *int64 `json:"ipVersion,omitempty"`

	// IPs are the addresses: each entry is one address or an inclusive, ordered range a-b.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$')",messageExpression="(self.contains('/') ? 'is a CIDR' : self.contains(',') ? 'is several in one entry' : self.matches('[[:space:]]') ? 'has a blank' : 'is neither an address nor a range') + '; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50'"
	IPs []string `json:"ips"`
}

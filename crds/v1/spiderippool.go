package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderIPPool is a set of addresses of one subnet that pods may be given.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=spiderippools,scope=Cluster,shortName=sp,categories=spiderpool
// +kubebuilder:printcolumn:name="VERSION",type=integer,JSONPath=`.spec.ipVersion`,description="4 or 6"
// +kubebuilder:printcolumn:name="SUBNET",type=string,JSONPath=`.spec.subnet`,description="the subnet that the addresses lie in"
// +kubebuilder:printcolumn:name="ALLOCATED-IP-COUNT",type=integer,JSONPath=`.status.allocatedIPCount`,description="addresses that are taken"
// +kubebuilder:printcolumn:name="TOTAL-IP-COUNT",type=integer,JSONPath=`.status.totalIPCount`,description="addresses that the pool has"
// +kubebuilder:printcolumn:name="DISABLE",type=boolean,JSONPath=`.spec.disable`,description="nothing new is allocated"
// +kubebuilder:printcolumn:name="READY",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="whether new addresses are given; the condition Ready says why not"
// +kubebuilder:printcolumn:name="FREE",type=integer,priority=1,JSONPath=`.status.freeIPCount`,description="addresses in service that nobody has"
// +kubebuilder:printcolumn:name="WAITING",type=boolean,priority=1,JSONPath=`.status.waitedFor`,description="pods wait for an address of the pool"
type SpiderIPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec IPPoolSpec `json:"spec"`

	// Status is the record of the addresses that are taken. Only the controller writes it; no
	// address is in use that is not in here.
	// +optional
	Status IPPoolStatus `json:"status,omitempty"`
}

// SpiderIPPoolList is a list of SpiderIPPools.
//
// +kubebuilder:object:root=true
type SpiderIPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderIPPool `json:"items"`
}

// IPPoolSpec describes the addresses of a pool and who may have them. All affinities and name lists
// that are set must match; a name list beats the selector of the same subject.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ipVersion) || !isCIDR(self.subnet) || cidr(self.subnet).ip().family() == self.ipVersion",fieldPath=".ipVersion",message="ipVersion differs from the family of subnet; set it to that family or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.ipVersion) || (has(self.ipVersion) && self.ipVersion == oldSelf.ipVersion)",fieldPath=".ipVersion",message="ipVersion is immutable; make another pool instead"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !isCIDR(self.subnet) || !isIP(self.gateway) || cidr(self.subnet).containsIP(self.gateway)",fieldPath=".gateway",messageExpression="'gateway ' + self.gateway + ' lies outside of subnet ' + self.subnet"
type IPPoolSpec struct {
	// IPVersion is 4 or 6. Unset means the family of subnet, and admission fills it in. Immutable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self in [4, 6]",message="must be 4 or 6"
	IPVersion *int64 `json:"ipVersion,omitempty"`

	// Subnet is the network that all addresses lie in, in canonical CIDR form such as
	// 172.18.41.0/24. Its prefix length is the one that pods get. Immutable. Subnets of several
	// pools may be equal or nested; their addresses MUST be disjoint.
	// +required
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="subnet is immutable; make another pool instead"
	Subnet string `json:"subnet"`

	// IPs are the addresses of the pool: each entry is one address or an inclusive, ordered range
	// a-b, inside subnet. Entries MUST NOT overlap those of another pool. An address in use cannot
	// be taken out. Never handed out nor counted, although an entry may contain them, are gateway,
	// the next hops of routes, and the broadcast address of an IPv4 subnet of /30 or shorter or the
	// subnet-router anycast address of an IPv6 subnet of /126 or shorter.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$')",messageExpression="(self.contains('/') ? 'is a CIDR' : self.contains(',') ? 'is several in one entry' : self.matches('[[:space:]]') ? 'has a blank' : 'is neither an address nor a range') + '; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50'"
	IPs []string `json:"ips,omitempty"`

	// ExcludeIPs are taken out of ips, in the same form. An address in use cannot be excluded.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$')",messageExpression="(self.contains('/') ? 'is a CIDR' : self.contains(',') ? 'is several in one entry' : self.matches('[[:space:]]') ? 'has a blank' : 'is neither an address nor a range') + '; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50'"
	ExcludeIPs []string `json:"excludeIPs,omitempty"`

	// Gateway becomes the default route of the pods. It lies inside subnet, is neither its network
	// nor its broadcast address, and is never handed out. Unset means no default route.
	// +optional
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1"
	Gateway *string `json:"gateway,omitempty"`

	// Vlan is the VLAN of the subnet, 0 to 4095; 0, the default, means none. It is reported in the
	// pod's annotation, not made.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	Vlan *int64 `json:"vlan,omitempty"`

	// Routes are added to the pods besides the default route. A change affects new pods only.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Routes []Route `json:"routes,omitempty"`

	// PodAffinity limits the pool to pods with these labels. Unset and an empty selector match
	// every pod.
	// +optional
	PodAffinity *metav1.LabelSelector `json:"podAffinity,omitempty"`

	// NamespaceAffinity limits the pool to namespaces with these labels. Unset and an empty
	// selector match every namespace.
	// +optional
	NamespaceAffinity *metav1.LabelSelector `json:"namespaceAffinity,omitempty"`

	// NamespaceName limits the pool to these namespaces and beats namespaceAffinity. Empty means no
	// limit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	NamespaceName []string `json:"namespaceName,omitempty"`

	// NodeAffinity limits the pool to nodes with these labels; pods that are given an address of it
	// are scheduled there. Unset and an empty selector match every node.
	// +optional
	NodeAffinity *metav1.LabelSelector `json:"nodeAffinity,omitempty"`

	// NodeName limits the pool to these nodes and beats nodeAffinity. Empty means no limit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=253
	NodeName []string `json:"nodeName,omitempty"`

	// MultusName limits the pool to NICs of these network attachments, each namespace/name. Empty
	// means no limit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=317
	MultusName []string `json:"multusName,omitempty"`

	// Disable stops the allocation of new addresses; those in use stay in use and are released as
	// always. Pods that no other pool serves are refused then. Default false.
	// +optional
	// +kubebuilder:default=false
	Disable *bool `json:"disable,omitempty"`

	// Default makes the pool one of the cluster's default pools, which serve pods that no other
	// rule gives a pool. Default false.
	// +optional
	Default *bool `json:"default,omitempty"`
}

// Route is one route of a pod.
type Route struct {
	// Dst is the destination in CIDR form, of the family of the pool. A pool MUST NOT name one
	// destination twice, nor its own subnet or a part of it, which pods reach without a router.
	// +required
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a CIDR"
	Dst string `json:"dst"`

	// Gw is the next hop, inside subnet, and neither its network nor its broadcast address.
	// +required
	// +kubebuilder:validation:MaxLength=39
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1"
	Gw string `json:"gw"`
}

// IPPoolStatus is the record of a pool: four disjoint sets of addresses and how far pods were seen.
// Counters are computed from the sets at each write. Its lists are atomic and have one writer, so
// that a large pool stays small.
type IPPoolStatus struct {
	// TotalIPCount is the number of addresses that the pool may hand out, taken or free. It stops
	// at 2^63-1.
	// +optional
	TotalIPCount *int64 `json:"totalIPCount,omitempty"`

	// AllocatedIPCount is the number of addresses that are taken: settled, reserved, retained and
	// held ones.
	// +optional
	AllocatedIPCount *int64 `json:"allocatedIPCount,omitempty"`

	// FreeIPCount is the number of addresses that may be handed out and are not taken: those of the
	// pool that are in service, without the taken ones. What a SpiderReservedIP withholds and what
	// somebody else in the cluster uses is among them: that changes without the pool. It stops at
	// 2^63-1, and is unset until the controller has written it.
	// +optional
	FreeIPCount *int64 `json:"freeIPCount,omitempty"`

	// InService are the addresses that the leader has found to be no other pool's, as ranges. Only
	// those of them that spec still has are handed out: what an edit of spec adds is judged first,
	// and what it takes away is gone at once.
	// +optional
	// +listType=atomic
	InService []string `json:"inService,omitempty"`

	// Settled are the addresses of pods that were seen, as ranges, one line per /24 or /120, such
	// as 172.18.41.40-44,50.
	// +optional
	// +listType=atomic
	Settled []string `json:"settled,omitempty"`

	// Reserved are the addresses given at admission to pods not yet seen, and those of pods that
	// name a node that does not exist, one line each: address, token and namespace, or for a pod
	// bound late address, token, namespace/name and UID. Words may follow: by: a digest of the
	// pod's controller, grace: its termination grace where that is more than 30 s, for: its stable
	// identity, of: the UID of that identity's owner, nic: the NIC where it is not eth0.
	// +optional
	// +listType=atomic
	Reserved []string `json:"reserved,omitempty"`

	// Retained are the addresses kept for stable identities, one line per owner:
	// namespace/kind.group/name, UID, and per pod the ordinal or name with its address, followed by
	// * while a pod uses it, by + and a token while it waits for the pod of an admission, by @ with node
	// and time while it is held and perhaps another @ with when that is expected to end, and by
	// nothing while nobody has it.
	// +optional
	// +listType=atomic
	Retained []string `json:"retained,omitempty"`

	// Held are the addresses of pods of which no kubelet confirmed that they have ended, one line
	// each: address, node ("-" where unknown), since when, and the pod's termination grace where
	// that is more than 30 s. Words may follow: pod: namespace/name of the pod ("-" for a name that
	// is not known), until: when the hold is expected to end if the node stays Ready. Of a grace no
	// more than a day counts.
	// +optional
	// +listType=atomic
	Held []string `json:"held,omitempty"`

	// PodsSeenThrough is the highest resourceVersion among the pods that were settled. Who releases
	// an address has seen at least that much.
	// +optional
	PodsSeenThrough string `json:"podsSeenThrough,omitempty"`

	// LongestGrace is the longest termination grace among the pods whose addresses are in use, or
	// were since one last was, such as 3600s; empty where none is longer than 30 s. What is held of
	// a pod of which nothing is known is held for that long.
	// +optional
	LongestGrace string `json:"longestGrace,omitempty"`

	// Term names the leadership whose sight of the pods the record's releases rest on. A leader
	// writes it when it takes the pool over, and another that still believes to lead can no longer
	// write.
	// +optional
	Term string `json:"term,omitempty"`

	// WaitedFor says that pods wait for an address of the pool: what comes free goes to them, and
	// pods that come now wait behind them. The leader sets it.
	// +optional
	WaitedFor bool `json:"waitedFor,omitempty"`

	// Conditions of the pool; Ready says that addresses may be reserved.
	// +optional
	// +listType=atomic
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Conditions of a SpiderIPPool and their reasons.
const (
	// ConditionReady is True once the leader has initialised the status of the pool and found its
	// addresses disjoint from those of all pools that are older. Nothing is reserved from a pool
	// that is not Ready. An edit of spec leaves it True, and status.inService says what is handed
	// out.
	ConditionReady = "Ready"

	// ReasonInitialised is the reason of Ready=True.
	ReasonInitialised = "Initialised"
	// ReasonWithheld is the reason of Ready=True where some addresses that an edit of spec added
	// are not handed out; the message says which and why.
	ReasonWithheld = "SomeAddressesWithheld"
	// ReasonOverlap is the reason of Ready=False where an older pool has some of the addresses, or
	// a pod carries one from another pool; the message names it.
	ReasonOverlap = "OverlapsOlderPool"
	// ReasonWaiting is the reason of Ready=False while a pool of an overlapping subnet was not
	// taken over by the leader; the message names it.
	ReasonWaiting = "WaitingForNeighbour"
	// ReasonInvalid is the reason of Ready=False where spec cannot be read, which only a pool made
	// without validation can reach.
	ReasonInvalid = "InvalidSpec"
	// ReasonCorrupt is the reason of Ready=False where status cannot be read.
	ReasonCorrupt = "UnreadableRecord"
)

// PoolFinalizer keeps a pool until none of its addresses is taken.
const PoolFinalizer = "spiderpool.spidernet.io/addresses-in-use"

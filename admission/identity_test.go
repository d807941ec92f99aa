package admission

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
)

var addressOf7 = netip.MustParseAddr("10.1.0.7")

func controller(apiVersion, kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: "owner-uid", Controller: new(true)}
}

func TestStableIdentity(t *testing.T) {
	t.Parallel()
	none := allocator.Identity{}
	games := schema.GroupKind{Group: "games.example.com", Kind: "GameServer"}
	tests := map[string]struct {
		owner  metav1.OwnerReference
		pod    string // its name; it has a generateName besides
		config func(*config.Config)
		want   allocator.Identity
	}{
		"of a StatefulSet": {
			owner: controller("apps/v1", "StatefulSet", "web"), pod: "web-0",
			want: allocator.Identity{Namespace: "team-a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-0"},
		},
		"of a StatefulSet, with a name that it does not make":   {owner: controller("apps/v1", "StatefulSet", "web"), pod: "web-a"},
		"of a StatefulSet, with another name":                   {owner: controller("apps/v1", "StatefulSet", "web"), pod: "mine"},
		"of a StatefulSet, with an ordinal in another spelling": {owner: controller("apps/v1", "StatefulSet", "web"), pod: "web-007"},
		"of a StatefulSet of a later API version": {
			owner: controller("apps/v3", "StatefulSet", "web"), pod: "web-12",
			want: allocator.Identity{Namespace: "team-a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-12"},
		},
		"of an OpenKruise StatefulSet": {
			owner: controller("apps.kruise.io/v1beta1", "StatefulSet", "web"), pod: "web-0",
			want: allocator.Identity{Namespace: "team-a", Group: "apps.kruise.io", Kind: "StatefulSet", Name: "web", Pod: "web-0"},
		},
		"of a StatefulSet, switched off": {
			owner: controller("apps/v1", "StatefulSet", "web"), pod: "web-0",
			config: func(c *config.Config) { c.EnableStatefulSet = false },
		},
		"of an OpenKruise StatefulSet, switched off": {
			owner: controller("apps.kruise.io/v1beta1", "StatefulSet", "web"), pod: "web-0",
			config: func(c *config.Config) { c.EnableStatefulSet = false },
		},
		"of a StatefulSet, switched off and named": {
			owner: controller("apps/v1", "StatefulSet", "web"), pod: "web-0",
			config: func(c *config.Config) {
				c.EnableStatefulSet, c.StableIdentityKinds = false, []schema.GroupKind{{Group: "apps", Kind: "StatefulSet"}}
			},
			want: allocator.Identity{Namespace: "team-a", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-0"},
		},
		"of a kind that the configuration names": {
			owner: controller("games.example.com/v1", "GameServer", "chess"), pod: "chess",
			config: func(c *config.Config) {
				c.EnableStatefulSet, c.StableIdentityKinds = false, []schema.GroupKind{{Kind: "Thing"}, games}
			},
			want: allocator.Identity{Namespace: "team-a", Group: "games.example.com", Kind: "GameServer", Name: "chess", Pod: "chess"},
		},
		"of a core kind that the configuration names": {
			owner: controller("v1", "Thing", "chess"), pod: "chess",
			config: func(c *config.Config) { c.StableIdentityKinds = []schema.GroupKind{{Kind: "Thing"}} },
			want:   allocator.Identity{Namespace: "team-a", Kind: "Thing", Name: "chess", Pod: "chess"},
		},
		"of a kind that it names in another group": {
			owner: controller("v1", "GameServer", "chess"), pod: "chess",
			config: func(c *config.Config) { c.StableIdentityKinds = []schema.GroupKind{games} },
		},
		"of a StatefulSet of another group":         {owner: controller("apps.example.com/v1", "StatefulSet", "web"), pod: "web-0"},
		"of a core StatefulSet":                     {owner: controller("v1", "StatefulSet", "web"), pod: "web-0"},
		"of a ReplicaSet":                           {owner: controller("apps/v1", "ReplicaSet", "web"), pod: "web-0"},
		"of a pod with a generated name":            {owner: controller("apps/v1", "StatefulSet", "web")},
		"of a version that cannot be read":          {owner: controller("apps/v1/v2", "StatefulSet", "web"), pod: "web-0"},
		"of an owner with a malformed name":         {owner: controller("apps/v1", "StatefulSet", "we b/1"), pod: "web-0"},
		"of a pod with a name too long for a label": {owner: controller("apps/v1", "StatefulSet", strings.Repeat("w", 62)), pod: strings.Repeat("w", 62) + "-0"},
		"of a pod with a malformed name":            {owner: controller("apps/v1", "StatefulSet", "web"), pod: "web 0"},
		"of an owner that is no controller": {
			owner: func() metav1.OwnerReference {
				o := controller("apps/v1", "StatefulSet", "web")
				o.Controller = nil
				return o
			}(), pod: "web-0",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config.Default()
			if test.config != nil {
				test.config(&c)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: test.pod, GenerateName: "web-", OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "another", UID: "x"}, test.owner,
			}}}
			r := reservationOf(pod, "team-a", c)
			if diff := cmp.Diff(test.want, r.For); diff != "" {
				t.Error(diff)
			}
			if wantUID := map[bool]string{false: "owner-uid"}[test.want == none]; r.ForUID != wantUID {
				t.Errorf("the owner's UID is %q", r.ForUID)
			}
			r.Token = allocator.NewToken()
			if err := (&allocator.Record{}).Reserve(addressOf7, r); err != nil {
				t.Errorf("no record takes it: %v", err)
			}
		})
	}
}

func TestReservationOf(t *testing.T) {
	t.Parallel()
	owned := func(uid string) []metav1.OwnerReference {
		o := controller("apps/v1", "ReplicaSet", "web")
		o.UID = types.UID(uid)
		return []metav1.OwnerReference{o}
	}
	tests := map[string]struct {
		owners []metav1.OwnerReference
		grace  *int64
		want   allocator.Reservation
	}{
		"a bare pod":                 {},
		"the default grace":          {grace: new(int64(30))},
		"a shorter grace":            {grace: new(int64(0))},
		"a negative grace":           {grace: new(int64(-1))},
		"a longer grace":             {grace: new(int64(31)), want: allocator.Reservation{Grace: 31 * time.Second}},
		"a pod of a controller":      {owners: owned("u1"), want: allocator.Reservation{Owner: allocator.OwnerDigest("u1")}},
		"a pod of another one":       {owners: owned("u2"), want: allocator.Reservation{Owner: allocator.OwnerDigest("u2")}},
		"an owner, no controller":    {owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "u"}}},
		"an odd UID of a controller": {owners: owned("u 1\n"), want: allocator.Reservation{Owner: allocator.OwnerDigest("u 1\n")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-x", OwnerReferences: test.owners}}
			pod.Spec.TerminationGracePeriodSeconds = test.grace
			test.want.Pod.Namespace = "team-a"
			if diff := cmp.Diff(test.want, reservationOf(pod, "team-a", config.Default())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnyReservationCanBeRecorded(t *testing.T) {
	t.Parallel()
	odd := []string{"", "web-0", "a b", "ä", "-", "x/y", "UPPER", strings.Repeat("a", 254), "a:b", "new\nline"}
	for _, name := range odd {
		for _, uid := range odd {
			o := controller("apps/v1", "StatefulSet", name)
			o.UID = types.UID(uid)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{o}}}
			pod.Spec.TerminationGracePeriodSeconds = new(int64(math.MaxInt64))
			r := reservationOf(pod, "team-a", config.Default())
			r.Token = allocator.NewToken()
			if err := (&allocator.Record{}).Reserve(addressOf7, r); err != nil {
				t.Errorf("name %q, UID %q: %v", name, uid, err)
			}
			if r.Grace <= 0 {
				t.Errorf("grace %s", r.Grace)
			}
		}
	}
}

package datapath

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni"
	v1 "spidernet.io/spiderpool/crds/v1"
)

// TestPluginReadsWhatTheWebhookWrites holds the two types of one annotation together: every field
// of the writer's reaches the reader.
func TestPluginReadsWhatTheWebhookWrites(t *testing.T) {
	t.Parallel()
	full := assignment(1, 40)
	full.Vlan, full.CleanGateway = 7, true
	v4 := v1.Assigned{Interface: "net1", IPv4Pool: "p", IPv4: "10.0.0.2/31"}
	v6 := v1.Assigned{Interface: "eth0", IPv6Pool: "p", IPv6: "fc00::2/128", IPv6Gateway: "fe80::1"}
	fields := reflect.ValueOf(full)
	for i := range fields.NumField() {
		if fields.Field(i).IsZero() {
			t.Errorf("this test sets no %s", fields.Type().Field(i).Name)
		}
	}
	for _, written := range []v1.Assigned{full, v4, v6} {
		read, err := cni.ParseAssignment(written.Interface, string(encode(t, written)))
		if err != nil {
			t.Errorf("%+v: %v", written, err)
			continue
		}
		if diff := cmp.Diff(written, rewritten(read)); diff != "" {
			t.Errorf("written and read (-written +read):\n%s", diff)
		}
	}
}

// rewritten is what the webhook would have written for read.
func rewritten(read *cni.Assignment) v1.Assigned {
	a := v1.Assigned{Interface: read.Interface, Vlan: int64(read.Vlan), CleanGateway: read.CleanGateway}
	for _, family := range read.Families {
		gateway := ""
		if family.Gateway.IsValid() {
			gateway = family.Gateway.String()
		}
		if family.Address.Addr().Is6() {
			a.IPv6Pool, a.IPv6, a.IPv6Gateway = family.Pool, family.Address.String(), gateway
		} else {
			a.IPv4Pool, a.IPv4, a.IPv4Gateway = family.Pool, family.Address.String(), gateway
		}
	}
	for _, route := range read.Routes {
		a.Routes = append(a.Routes, v1.Route{Dst: route.Destination.String(), Gw: route.Gateway.String()})
	}
	return a
}

func TestAnnotationHasOneName(t *testing.T) {
	t.Parallel()
	if cni.AnnotationPrefix != v1.AnnotationAssignedPrefix {
		t.Errorf("the plugin reads %s, the webhook writes %s", cni.AnnotationPrefix, v1.AnnotationAssignedPrefix)
	}
}

// FuzzWhatThePluginTakesTheControllerTakesToo: an address that a pod carries for real is one that
// the controller counts as taken.
func FuzzWhatThePluginTakesTheControllerTakesToo(f *testing.F) {
	for _, assigned := range []v1.Assigned{assignment(1, 40), {Interface: "eth0", IPv4Pool: "p", IPv4: "10.0.0.2/31"}} {
		f.Add(string(encode(f, assigned)))
	}
	f.Fuzz(func(t *testing.T, value string) {
		read, err := cni.ParseAssignment("eth0", value)
		if err != nil {
			return
		}
		counted, err := v1.ParseAssigned("eth0", value)
		if err != nil {
			t.Fatalf("the plugin takes it, but the controller says %v", err)
		}
		if diff := cmp.Diff(claims(t, rewritten(read)), claims(t, counted)); diff != "" {
			t.Errorf("claims (-plugin +controller):\n%s", diff)
		}
	})
}

func claims(t *testing.T, a v1.Assigned) string {
	t.Helper()
	list, err := a.Claims()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package status

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Each field of the text has its field in the status: a new one that is forgotten here would be
// lost with the next write.
func TestNoFieldOfARecordIsLost(t *testing.T) {
	t.Parallel()
	var e allocator.Encoded
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{v.Type().Field(i).Name}))
		default:
			t.Fatalf("%s is a %s", v.Type().Field(i).Name, f.Kind())
		}
	}
	kept := crdv1.IPPoolStatus{WaitedFor: true, InService: []string{"10.0.0.1"}}
	SetRecord(&kept, e)
	if diff := cmp.Diff(e, text(&kept)); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if !kept.WaitedFor || len(kept.InService) != 1 {
		t.Errorf("something else was lost: %+v", kept)
	}
}

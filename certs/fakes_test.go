package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// api stores objects by kind and name as the API server does: create fails where the object exists,
// update and patch where it changed since it was read.
type api struct {
	mu      sync.Mutex        // protects all below
	objects map[string][]byte // kind and key -> JSON
	version int
	writes  []string // create, update or the text of the patch, in order

	// before runs ahead of each write, unlocked: another writer can be faster.
	before func(verb string)
	err    error // what every call returns, if set
}

var (
	_ Client  = (*api)(nil)
	_ Patcher = (*api)(nil)
)

func newAPI() *api { return &api{objects: map[string][]byte{}} }

func keyOf(object client.Object, namespace, name string) string {
	return fmt.Sprintf("%T %s/%s", object, namespace, name)
}

func (a *api) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	raw, ok := a.objects[keyOf(object, key.Namespace, key.Name)]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, key.Name)
	}
	return json.Unmarshal(raw, object)
}

func (a *api) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	a.ahead("create")
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.objects[keyOf(object, object.GetNamespace(), object.GetName())]; ok {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "things"}, object.GetName())
	}
	a.writes = append(a.writes, "create")
	return a.putLocked(object)
}

func (a *api) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	a.ahead("update")
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.unchangedLocked(object); err != nil {
		return err
	}
	a.writes = append(a.writes, "update")
	return a.putLocked(object)
}

// Patch takes the caller's object as the result of the patch: it was computed from the version that
// is checked.
func (a *api) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	text, err := patch.Data(object)
	if err != nil {
		return err
	}
	a.ahead("patch")
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.unchangedLocked(object); err != nil {
		return err
	}
	a.writes = append(a.writes, string(patch.Type())+" "+string(text))
	return a.putLocked(object)
}

func (a *api) ahead(verb string) {
	if a.before != nil {
		a.before(verb)
	}
}

func (a *api) unchangedLocked(object client.Object) error {
	var stored struct {
		Metadata struct{ ResourceVersion string }
	}
	raw, ok := a.objects[keyOf(object, object.GetNamespace(), object.GetName())]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, object.GetName())
	}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return err
	}
	if stored.Metadata.ResourceVersion != object.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Resource: "things"}, object.GetName(), fmt.Errorf("it changed"))
	}
	return nil
}

func (a *api) putLocked(object client.Object) error {
	a.version++
	object.SetResourceVersion(strconv.Itoa(a.version))
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	a.objects[keyOf(object, object.GetNamespace(), object.GetName())] = raw
	return nil
}

// put writes an object as another writer.
func (a *api) put(object client.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.putLocked(object); err != nil {
		panic(err)
	}
}

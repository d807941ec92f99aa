package owners

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// API reads an object: the part of a client.Reader that is needed here. It MUST NOT be a cache,
// since the answer must prove absence.
type API interface {
	Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error
}

// Mapper knows in which version a kind is served: the part of a meta.RESTMapper that is needed
// here.
type Mapper interface {
	RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error)
}

// Ref names an owner: whichever object has the name at the time.
type Ref struct {
	Kind            schema.GroupKind
	Namespace, Name string
}

// String returns namespace/Kind.group/name.
func (r Ref) String() string { return r.Namespace + "/" + r.Kind.String() + "/" + r.Name }

// Reader reads each owner once, and an error stays for the life of the Reader. So each pass over
// the owners has its own. It is not safe for concurrent use.
type Reader struct {
	api    API
	mapper Mapper
	known  map[Ref]answer
}

// answer is the result of reading an owner; object is nil where it does not exist.
type answer struct {
	object *unstructured.Unstructured
	err    error
}

// NewReader returns a Reader that has read nothing yet.
func NewReader(api API, mapper Mapper) *Reader {
	return &Reader{api: api, mapper: mapper, known: map[Ref]answer{}}
}

// Read returns an owner, or nil if the API server has answered that it does not exist.
func (r *Reader) Read(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	a, ok := r.known[ref]
	if !ok {
		a.object, a.err = r.get(ctx, ref)
		r.known[ref] = a
	}
	return a.object, a.err
}

func (r *Reader) get(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	mapping, err := r.mapper.RESTMapping(ref.Kind)
	if meta.IsNoMatchError(err) { // the API server has no such kind, so no such object
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading owner %s: %w", ref, err)
	}
	owner := &unstructured.Unstructured{}
	owner.SetGroupVersionKind(mapping.GroupVersionKind)
	err = r.api.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, owner)
	if apierrors.IsNotFound(err) && !unserved(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading owner %s: %w", ref, err)
	}
	return owner, nil
}

// unserved reports whether a 404 is not about the object: the API server no longer serves its kind
// in that version, and the mapping is outdated.
func unserved(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

package allocator

import (
	"fmt"
	"net/netip"
	"slices"
)

// Each transition succeeds wholly or returns an error and changes nothing.

// Reserve makes a free address reserved. The same token at the same address again is no error and no change, so that a request
// whose outcome was unknown can be repeated.
func (r *Record) Reserve(a netip.Addr, v Reservation) error {
	const verb = "reserving"
	if err := v.validate(); err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if err := r.admits(verb, a); err != nil {
		return err
	}
	if old, ok := r.reserved.get(a); ok && old == v {
		return nil
	}
	if r.Contains(a) {
		return r.conflict(verb, a, ErrNotFree)
	}
	if err := r.unusedTokens(verb, a, []Token{v.Token}); err != nil {
		return err
	}
	r.taken.Add(a)
	r.reserved.put(a, v)
	r.tokens.put(v.Token, a)
	return nil
}

// Settle makes the address that t reserved settled, and raises the mark to the pod's revision. Where it is settled already only the
// mark is raised.
func (r *Record) Settle(a netip.Addr, t Token, podRevision uint64) error {
	if !r.settled.Contains(a) {
		if !r.reservedBy(a, t) {
			return r.conflict("settling", a, ErrNotReserved)
		}
		r.dropReservation(a)
		r.settled.Add(a)
	}
	r.raise(podRevision)
	return nil
}

// GiveBack frees the address that t reserved: it expired, or its admission was refused after all.
func (r *Record) GiveBack(a netip.Addr, t Token) error {
	if !r.reservedBy(a, t) {
		return r.conflict("giving back", a, ErrNotReserved)
	}
	r.dropReservation(a)
	r.taken.Remove(a)
	return nil
}

// Release frees a settled address: its pod was seen finished.
func (r *Record) Release(a netip.Addr) error {
	if !r.settled.Remove(a) {
		return r.conflict("releasing", a, ErrNotSettled)
	}
	r.taken.Remove(a)
	return nil
}

// PutBack settles an address that a live pod claims and the record does not know as settled (I8): it is free, or reserved. What
// retains or holds it is not overridden.
func (r *Record) PutBack(a netip.Addr, podRevision uint64) error {
	const verb = "putting back"
	if err := r.admits(verb, a); err != nil {
		return err
	}
	switch r.State(a) {
	case StateRetained, StateHeld:
		return r.conflict(verb, a, ErrNotFree)
	case StateReserved:
		r.dropReservation(a)
	case StateFree, StateSettled:
	}
	r.taken.Add(a)
	r.settled.Add(a)
	r.raise(podRevision)
	return nil
}

// Hold makes a settled address held: its pod vanished and its end was not seen.
func (r *Record) Hold(a netip.Addr, h Hold) error {
	const verb = "holding"
	h, err := h.normal()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if !r.settled.Remove(a) {
		return r.conflict(verb, a, ErrNotSettled)
	}
	r.held.put(a, h)
	return nil
}

// Unhold frees a held address.
func (r *Record) Unhold(a netip.Addr) error {
	if _, ok := r.held.get(a); !ok {
		return r.conflict("ending the hold of", a, ErrNotHeld)
	}
	r.held.remove(a)
	r.taken.Remove(a)
	return nil
}

// Retain makes a free address retained, or, where it is retained for the same identity, appends the admission's tokens: reuse is a
// write, so that a leader about to free the address loses its precondition. Tokens that are there already are not repeated.
// The owner's UID, if given, replaces the one recorded.
func (r *Record) Retain(a netip.Addr, v Retention) error {
	const verb = "retaining"
	if err := v.validate(); err != nil {
		return fmt.Errorf("%s %s: %w", verb, a, err)
	}
	if err := r.admits(verb, a); err != nil {
		return err
	}
	old, again := r.retained.get(a)
	if again && old.Identity != v.Identity || !again && r.Contains(a) {
		return r.conflict(verb, a, ErrNotFree)
	}
	if other, ok := r.identities.get(v.Identity); ok && other != a {
		return fmt.Errorf("%s %s: %s %w: %s", verb, a, v.Identity, ErrElsewhere, other)
	}
	if err := r.unusedTokens(verb, a, v.Tokens); err != nil {
		return err
	}
	if v.OwnerUID == "" {
		v.OwnerUID = old.OwnerUID
	}
	r.taken.Add(a)
	r.identities.put(v.Identity, a)
	for _, t := range v.Tokens {
		r.tokens.put(t, a)
	}
	v.Tokens = slices.Concat(old.Tokens, withoutTokens(v.Tokens, old.Tokens))
	r.putRetained(a, v, len(v.Tokens)-maxTokens)
	return nil
}

// Confirm says that the pod of t was seen: t and the admissions before it are waited for no longer.
func (r *Record) Confirm(a netip.Addr, t Token) error {
	const verb = "confirming"
	v, ok := r.retained.get(a)
	if !ok {
		return r.conflict(verb, a, ErrNotRetained)
	}
	i := slices.Index(v.Tokens, t)
	if i < 0 {
		return r.conflict(verb, a, ErrUnknownToken)
	}
	r.putRetained(a, v, i+1)
	return nil
}

// FreeRetained frees a retained address, if it is still retained for that identity and no admission used it since the caller read
// its tokens.
func (r *Record) FreeRetained(a netip.Addr, i Identity, tokensSeen []Token) error {
	const verb = "freeing"
	v, ok := r.retained.get(a)
	if !ok || v.Identity != i {
		return r.conflict(verb, a, ErrNotRetained)
	}
	if !slices.Equal(v.Tokens, tokensSeen) {
		return r.conflict(verb, a, ErrChanged)
	}
	for _, t := range v.Tokens {
		r.tokens.remove(t)
	}
	r.identities.remove(i)
	r.retained.remove(a)
	r.taken.Remove(a)
	return nil
}

// maxTokens bounds what a controller that retries a refused pod for hours can write. The oldest go first: their admissions are over
// long before sixteen others of the same pod name have come.
const maxTokens = 16

// putRetained records v at a without its oldest tokens.
func (r *Record) putRetained(a netip.Addr, v Retention, drop int) {
	drop = max(drop, 0)
	for _, t := range v.Tokens[:drop] {
		r.tokens.remove(t)
	}
	v.Tokens = append([]Token(nil), v.Tokens[drop:]...)
	r.retained.put(a, v)
}

func withoutTokens(from, drop []Token) []Token {
	return slices.DeleteFunc(slices.Clone(from), func(t Token) bool { return slices.Contains(drop, t) })
}

func (r *Record) reservedBy(a netip.Addr, t Token) bool {
	v, ok := r.reserved.get(a)
	return ok && v.Token == t
}

// dropReservation leaves the address in taken: the caller says where it goes.
func (r *Record) dropReservation(a netip.Addr) {
	v, _ := r.reserved.get(a)
	r.tokens.remove(v.Token)
	r.reserved.remove(a)
}

// unusedTokens refuses tokens that have another address than a.
func (r *Record) unusedTokens(verb string, a netip.Addr, tokens []Token) error {
	for _, t := range tokens {
		if other, ok := r.tokens.get(t); ok && other != a {
			return fmt.Errorf("%s %s: token %s %w: %s", verb, a, t, ErrElsewhere, other)
		}
	}
	return nil
}

func (r *Record) raise(revision uint64) { r.seenThrough = max(r.seenThrough, revision) }

package allocator

import (
	"iter"
	"slices"
)

// pageSize balances what a change copies (one page) against what a clone copies (one slice header
// per page).
const pageSize = 64

// sorted is an ordered map in pages. A page is never written once it is in place: a change replaces
// it by a changed copy. So clones share all pages, a clone of 60,000 entries copies some 25 KB, and
// clones may be read and changed by different goroutines without any flag that says who owns what.
type sorted[K interface{ Compare(K) int }, V any] struct {
	pages [][]entry[K, V] // ascending, none empty
	size  int
}

type entry[K, V any] struct {
	key   K
	value V
}

// newSorted takes over entries that ascend strictly.
func newSorted[K interface{ Compare(K) int }, V any](entries []entry[K, V]) sorted[K, V] {
	return sorted[K, V]{pages: slices.Collect(slices.Chunk(entries, pageSize)), size: len(entries)}
}

func (s *sorted[K, V]) get(k K) (V, bool) {
	p, i, found := s.find(k)
	if !found {
		var zero V
		return zero, false
	}
	return s.pages[p][i].value, true
}

func (s *sorted[K, V]) put(k K, v V) {
	p, i, found := s.find(k)
	switch {
	case found:
		s.pages[p] = slices.Clone(s.pages[p])
		s.pages[p][i].value = v
		return
	case len(s.pages) == 0:
		s.pages = [][]entry[K, V]{nil}
	}
	page := make([]entry[K, V], 0, len(s.pages[p])+1)
	page = append(append(append(page, s.pages[p][:i]...), entry[K, V]{k, v}), s.pages[p][i:]...)
	s.pages[p] = page
	if len(page) > pageSize {
		half := len(page) / 2
		s.pages = slices.Replace(s.pages, p, p+1, page[:half], page[half:])
	}
	s.size++
}

func (s *sorted[K, V]) remove(k K) {
	p, i, found := s.find(k)
	if !found {
		return
	}
	s.size--
	if len(s.pages[p]) == 1 {
		s.pages = slices.Delete(s.pages, p, p+1)
		return
	}
	s.pages[p] = slices.Concat(s.pages[p][:i], s.pages[p][i+1:])
}

func (s *sorted[K, V]) clone() sorted[K, V] {
	return sorted[K, V]{pages: slices.Clone(s.pages), size: s.size}
}

func (s *sorted[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, page := range s.pages {
			for i := range page {
				if !yield(page[i].key, page[i].value) {
					return
				}
			}
		}
	}
}

// from yields the entries from k on.
func (s *sorted[K, V]) from(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		page, at, _ := s.find(k)
		for ; page < len(s.pages); page, at = page+1, 0 {
			for i := at; i < len(s.pages[page]); i++ {
				if !yield(s.pages[page][i].key, s.pages[page][i].value) {
					return
				}
			}
		}
	}
}

// find returns the page and the place in it where k is, or where it belongs. What is beyond all
// belongs at the end of the last page.
func (s *sorted[K, V]) find(k K) (page, at int, found bool) {
	if len(s.pages) == 0 {
		return 0, 0, false
	}
	page, _ = slices.BinarySearchFunc(s.pages, k, func(p []entry[K, V], k K) int { return p[len(p)-1].key.Compare(k) })
	page = min(page, len(s.pages)-1)
	at, found = slices.BinarySearchFunc(s.pages[page], k, func(e entry[K, V], k K) int { return e.key.Compare(k) })
	return page, at, found
}

package allocator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
)

var fillings = []struct {
	name  string
	taken func(i int, rnd *rand.Rand) bool
}{
	{"full", func(int, *rand.Rand) bool { return true }},
	{"half", func(_ int, rnd *rand.Rand) bool { return rnd.IntN(2) == 0 }},
	{"worst", func(i int, _ *rand.Rand) bool { return i%2 == 0 }}, // every other address: no two share a dash
}

var poolSizes = []int{16, 254, 4096, 65534}

// pool returns the addresses of a pool of n and a record in which some are settled.
func pool(n int, taken func(int, *rand.Rand) bool) (allocator.Space, *allocator.Record) {
	first := netip.MustParseAddr("10.0.0.1")
	rnd, r, a := rand.New(rand.NewPCG(1, 2)), &allocator.Record{}, first
	last := first
	for i := range n {
		if taken(i, rnd) {
			if err := r.PutBack(a, 1, allocator.Identity{}, ""); err != nil {
				panic(err)
			}
		}
		last, a = a, a.Next()
	}
	return must(allocator.NewSpace([]netipx.IPRange{netipx.IPRangeFrom(first, last)}, nil)), r
}

func eachPool(b *testing.B, run func(b *testing.B, s allocator.Space, r *allocator.Record)) {
	for _, n := range poolSizes {
		for _, f := range fillings {
			b.Run(fmt.Sprintf("%d/%s", n, f.name), func(b *testing.B) {
				s, r := pool(n, f.taken)
				b.ReportAllocs()
				b.ResetTimer()
				run(b, s, r)
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	eachPool(b, func(b *testing.B, _ allocator.Space, r *allocator.Record) {
		for b.Loop() {
			r.Encode()
		}
		b.ReportMetric(float64(r.Encode().Size()), "bytes")
	})
}

func BenchmarkDecode(b *testing.B) {
	eachPool(b, func(b *testing.B, _ allocator.Space, r *allocator.Record) {
		e := r.Encode()
		for b.Loop() {
			if _, err := allocator.Decode(e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPick(b *testing.B) {
	now, recent := time.Now(), &allocator.Recent{}
	eachPool(b, func(b *testing.B, s allocator.Space, r *allocator.Record) {
		for b.Loop() {
			allocator.Pick(s, r, recent, nil, now)
		}
	})
}

// The time per address must not grow with how many are picked, nor with how many were given back a
// moment ago: all of the pool but the last few, or all of it at one moment or at many.
func BenchmarkPickAmongRecent(b *testing.B) {
	const size = 60000
	space, empty := pool(size+5000, func(int, *rand.Rand) bool { return false })
	_, most := pool(size, func(int, *rand.Rand) bool { return true })
	_, all := pool(size+5000, func(int, *rand.Rand) bool { return true })
	for name, c := range map[string]struct {
		freed *allocator.Record
		each  time.Duration // between two of them
	}{
		"the lowest":          {most, 0},
		"all at one moment":   {all, 0},
		"all, one by another": {all, 100 * time.Microsecond},
	} {
		now, recent := time.Now(), &allocator.Recent{}
		for a := range c.freed.Taken().All() {
			now = now.Add(c.each)
			recent.GaveBack(a, now)
		}
		for _, n := range []int{200, 4000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					r := empty.Clone()
					for range n {
						a, ok := allocator.Pick(space, r, recent, nil, now)
						if !ok {
							b.Fatal("none")
						}
						if err := r.PutBack(a, 1, allocator.Identity{}, ""); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/pick")
			})
		}
	}
}

// The work of the ledger for a batch of one, less the write itself.
func BenchmarkCloneReserveEncode(b *testing.B) {
	eachPool(b, func(b *testing.B, s allocator.Space, r *allocator.Record) {
		v, now := allocator.Reservation{Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: "default"}}, time.Now()
		for b.Loop() {
			c := r.Clone()
			if a, ok := allocator.Pick(s, c, nil, nil, now); ok {
				if err := c.Reserve(a, v); err != nil {
					b.Fatal(err)
				}
			}
			c.Encode()
		}
	})
}

// The lines of a set against one record per address, as JSON, since that is how both travel.
func BenchmarkLinesAgainstRecords(b *testing.B) {
	for _, f := range fillings {
		_, r := pool(65534, f.taken)
		b.Run("lines/"+f.name, func(b *testing.B) { roundTrip(b, r.Settled().Lines, decodeSet) })
		b.Run("records/"+f.name, func(b *testing.B) {
			roundTrip(b, func() []string { return records(r.Settled()) }, decodeRecords)
		})
	}
}

func roundTrip(b *testing.B, encode func() []string, decode func([]string) error) {
	b.Helper()
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		text := must(json.Marshal(encode()))
		size = len(text)
		var lines []string
		if err := json.Unmarshal(text, &lines); err != nil {
			b.Fatal(err)
		}
		if err := decode(lines); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size), "bytes")
}

func records(s *allocator.Set) []string {
	out := make([]string, 0, s.Len())
	for a := range s.All() {
		out = append(out, a.String())
	}
	return out
}

func decodeSet(lines []string) error {
	_, err := allocator.ParseSet(lines)
	return err
}

func decodeRecords(lines []string) error {
	var s allocator.Set
	for _, l := range lines {
		a, err := netip.ParseAddr(l)
		if err != nil {
			return err
		}
		s.Add(a)
	}
	return nil
}

// A /16 kept for 656 StatefulSets, all of it in use: about as much as fits into a status.
func BenchmarkRetainedSlash16(b *testing.B) {
	const n = 65534
	r := retained(n)
	e := r.Encode()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Encode()
		}
		b.ReportMetric(float64(e.Size())/n, "bytes/address")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := allocator.Decode(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	last := netip.MustParseAddr("10.0.255.254")
	unassigned, held := r.Clone(), r.Clone()
	if err := errors.Join(unassigned.Release(last), held.Hold(last, allocator.Hold{Since: noon})); err != nil {
		b.Fatal(err)
	}
	k, _ := r.RetainedAt(last)
	pending := allocator.Reservation{Token: tokenA, Pod: allocator.PodRef{Namespace: "default"}, For: k.Identity}
	for name, do := range map[string]func() error{
		"clone and reserve a retained one": func() error { return unassigned.Clone().Reserve(last, pending) },
		"clone and release":                func() error { return r.Clone().Release(last) },
		"clone and hold":                   func() error { return r.Clone().Hold(last, allocator.Hold{Since: noon}) },
		"clone and unhold":                 func() error { return held.Clone().Unhold(last) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, read := range map[string]func(){
		"in use":   func() { r.InUse(last) },
		"by name":  func() { r.ByIdentity(k.Identity) },
		"counts":   func() { r.Counts() },
		"awaited":  func() { each(r.Awaited()) },
		"all held": func() { each(r.AllHeld()) },
		"retained": func() { each(r.Retained()) },
		"all in use": func() {
			for range r.AllInUse() {
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read()
			}
		})
	}
}

func each[V any](all iter.Seq2[netip.Addr, V]) {
	for range all {
	}
}

// retained keeps n addresses from 10.0.0.1 on, in use, for StatefulSets of a hundred pods.
func retained(n int) *allocator.Record {
	r, a := &allocator.Record{}, netip.MustParseAddr("10.0.0.1")
	for i := range n {
		owner := fmt.Sprintf("app%d", i/100)
		id := allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: owner, Pod: fmt.Sprintf("%s-%d", owner, i%100)}
		if err := r.PutBack(a, 1, id, "8d0c3c1e-4f8a-4b39-9d0e-1f5d4dcf3251"); err != nil {
			panic(err)
		}
		a = a.Next()
	}
	return r
}

// The first half of a /10 is taken: every full chunk lies before the answer.
func BenchmarkPickInHugePools(b *testing.B) {
	for name, p := range hugePools() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				allocator.Pick(p.space, p.record, nil, nil, time.Time{})
			}
		})
	}
}

type hugePool struct {
	space  allocator.Space
	record *allocator.Record
}

func hugePools() map[string]hugePool {
	halfOf10 := must(allocator.Decode(allocator.Encoded{Settled: []string{"10.0.0.0-10.31.255.255"}}))
	someOf64 := must(allocator.Decode(allocator.Encoded{Settled: []string{"fc00::0-fc00::ffff"}}))
	return map[string]hugePool{
		"slash 10 half full":    {must(allocator.NewSpace(ranges("10.0.0.0-10.63.255.255"), nil)), halfOf10},
		"slash 64 lowest taken": {must(allocator.NewSpace(ranges("fc00::-fc00::ffff:ffff:ffff:ffff"), nil)), someOf64},
	}
}

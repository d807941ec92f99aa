package check

import (
	"math"
	"math/big"

	"go4.org/netipx"
)

// setOf returns the set of valid ranges; the builder fails on nothing else.
func setOf(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic(err) // an address that readAddress did not read
	}
	return set
}

// without returns the ranges of a that b does not have.
func without(a, b *netipx.IPSet) []netipx.IPRange {
	var left netipx.IPSetBuilder
	left.AddSet(a)
	left.RemoveSet(b)
	return setOf(&left).Ranges()
}

// size returns how many addresses a set has, 1<<63-1 at most.
func size(set *netipx.IPSet) int64 {
	n := int64(0)
	for _, r := range set.Ranges() {
		first, last := r.From().As16(), r.To().As16()
		var from, to big.Int
		from.SetBytes(first[:])
		to.SetBytes(last[:])
		length := to.Add(to.Sub(&to, &from), big.NewInt(1))
		if !length.IsInt64() {
			return math.MaxInt64
		}
		n = saturatingSum(n, length.Int64())
	}
	return n
}

// saturatingSum adds numbers that are not negative, and stops at 1<<63-1.
func saturatingSum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// spelled writes a range; a single address without a dash.
func spelled(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	return r.String()
}

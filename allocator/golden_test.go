package allocator_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spidernet.io/spiderpool/allocator"
)

var update = flag.Bool("update", false, "write golden files")

// The text of a record is an interface: controllers of one release and the next read what the other
// wrote, and people read it too. A change of testdata/record.json is a change of that interface.
func TestTheTextOfARecordIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	const file = "testdata/record.json"
	if *update {
		text, err := json.MarshalIndent(everyShape(t).Encode(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(golden(t, file), everyShape(t).Encode(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the text (-golden +written):\n%s", diff)
	}
}

// What older controllers wrote is read, and says the same when it is written again.
func TestWhatOlderReleasesWroteIsRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/record-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden file of an older release: %v", err)
	}
	for _, file := range append(files, "testdata/record.json") {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text := golden(t, file)
			r, err := allocator.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, r.Encode(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("written again (-read +written):\n%s", diff)
			}
		})
	}
}

func golden(t *testing.T, file string) (text allocator.Encoded) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// everyShape has each shape of each line.
func everyShape(t *testing.T) *allocator.Record {
	t.Helper()
	r := &allocator.Record{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tokens := 0
	token := func() allocator.Token {
		tokens++
		return allocator.Token("aaaaaaaaaaaaaaa" + string(rune('a'+tokens)))
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	pod := allocator.PodRef{Namespace: "shop"}
	late := allocator.PodRef{Namespace: "shop", Name: "web-x", UID: "77aa"}
	stable := func(name string) allocator.Reservation {
		return allocator.Reservation{
			Token: token(), Pod: pod, ForUID: "5e1f",
			For: allocator.Identity{Namespace: "shop", Group: "apps", Kind: "StatefulSet", Name: "db", Pod: name},
		}
	}
	settle := func(a string, v allocator.Reservation) {
		must(r.Reserve(ip(a), v))
		must(r.Settle(ip(a), v.Token, 4711))
	}

	settle("1", allocator.Reservation{Token: token(), Pod: pod})
	settle("2", allocator.Reservation{Token: token(), Pod: pod, Grace: time.Hour})
	settle("9", allocator.Reservation{Token: token(), Pod: pod})

	both := allocator.Reservation{Token: token(), Pod: pod}
	must(r.Reserve(ip("10"), both))
	must(r.Reserve(ip("11"), both.OnNIC("net1")))
	must(r.Reserve(ip("12"), allocator.Reservation{Token: token(), Pod: late}))
	must(r.Reserve(ip("13"), allocator.Reservation{Token: token(), Pod: pod, Owner: allocator.OwnerDigest("5e1f"), Grace: time.Hour}))
	must(r.Reserve(ip("14"), stable("db-9").OnNIC("net1")))

	settle("20", stable("db-0"))
	settle("21", stable("db-0").OnNIC("net1"))
	settle("22", stable("db-1"))
	must(r.Release(ip("22")))
	settle("23", stable("db-2"))
	must(r.Release(ip("23")))
	again := stable("db-2")
	again.Pod, again.Grace = allocator.PodRef{Namespace: "shop", Name: "db-2", UID: "78bb"}, time.Hour
	must(r.Reserve(ip("23"), again))
	settle("24", stable("db-3"))
	must(r.Hold(ip("24"), allocator.Hold{Node: "node1", Since: at, Grace: time.Hour}))

	settle("30", allocator.Reservation{Token: token(), Pod: pod})
	must(r.Hold(ip("30"), allocator.Hold{Node: "node1", Since: at, Grace: time.Hour}))
	settle("31", allocator.Reservation{Token: token(), Pod: pod})
	must(r.Hold(ip("31"), allocator.Hold{Since: at}))
	settle("32", allocator.Reservation{Token: token(), Pod: pod})
	must(r.Hold(ip("32"), allocator.Hold{Node: "node1", Since: at, Grace: time.Hour, Pod: late, Until: at.Add(61 * time.Minute)}))
	settle("33", allocator.Reservation{Token: token(), Pod: pod})
	must(r.Hold(ip("33"), allocator.Hold{Since: at, Pod: pod}))
	settle("25", stable("db-4"))
	must(r.Hold(ip("25"), allocator.Hold{Node: "node1", Since: at, Grace: time.Hour, Until: at.Add(61 * time.Minute)}))
	r.SetTerm("term")
	return r
}
